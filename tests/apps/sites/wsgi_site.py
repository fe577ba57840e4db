"""The contract of behaviours in plain WSGI: what a framework would do is done by hand."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl

from notebook import note, pass_gate, shared

ROUTES = {}

note("startup")
atexit.register(note, "shutdown")


def route(path):
    def register(handle):
        ROUTES[path] = handle
        return handle

    return register


def app(environ, start_response):
    name = environ["PATH_INFO"].split("/")[1]
    return ROUTES.get(name, missing)(Call(environ, start_response))


class Call:
    """One request, with the few conveniences that the endpoints share."""

    def __init__(self, environ, start_response):
        self.environ = environ
        self._start_response = start_response
        self.path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        self.query = parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
        self.input = environ["wsgi.input"]

    def argument(self, name):
        return dict(self.query)[name]

    def start(self, status="200 OK", kind="text/plain", fields=()):
        return self._start_response(status, [("Content-Type", kind), ("X-Site", "wsgi"), *fields])

    def answer(self, body=b"", status="200 OK", kind="text/plain", fields=()):
        self.start(status, kind, fields)
        return [body]

    def answer_json(self, value, status="200 OK", fields=()):
        return self.answer(json.dumps(value).encode(), status, "application/json", fields)


def missing(call):
    return call.answer(b"no such page", "404 Not Found")


@route("json")
def show_json(call):
    return call.answer_json({"greeting": "grüß dich", "pid": os.getpid()})


@route("redirect")
def redirect(call):
    return call.answer(b"", "303 See Other", fields=[("Location", "/page?name=friend")])


@route("echo")
def echo(call):
    method, rest = call.environ["REQUEST_METHOD"], call.path.removeprefix("/echo/")
    return call.answer_json({"method": method, "path": rest, "query": call.query})


@route("form")
def form(call):
    length = int(call.environ["CONTENT_LENGTH"])
    return call.answer_json(dict(parse_qsl(call.input.read(length).decode())))


@route("sink")
def sink(call):
    digest, size = hashlib.sha256(), 0
    try:
        while part := call.input.read(65536):
            if not size:
                note(f"sink began {call.argument('token')}")
            digest.update(part)
            size += len(part)
    except OSError:
        note(f"sink broken {call.argument('token')}")
        raise
    return call.answer_json({"size": size, "sha256": digest.hexdigest()})


@route("stream")
def stream(call):
    count, size = int(call.argument("count")), int(call.argument("size"))
    call.start()
    return (b"%c" % (97 + number % 26) * size for number in range(count))


@route("relay")
def relay(call):  # a lazily started generator: start_response is called in its first step
    call.start()
    yield b"before\n"
    pass_gate(call.argument("gate"))
    yield b"after\n"


@route("written")
def written(call):
    write = call.start()
    write(b"written, ")
    write(b"not returned")
    return []


@route("lines")
def lines(call):
    return call.answer_json([len(line) for line in call.input])


class Endless:
    def __init__(self, token):
        self._token = token

    def __iter__(self):
        return self

    def __next__(self):
        return b"x" * 10_000

    def close(self):
        note(f"endless ended {self._token}")


@route("endless")
def endless(call):
    call.start()
    return Endless(call.argument("token"))


class ThenClose:
    """One part, and work to do once it has been sent."""

    def __init__(self, part, gate):
        self._parts = iter([part])
        self._gate = gate

    def __iter__(self):
        return self._parts

    def close(self):
        pass_gate(self._gate)
        note(f"background done {self._gate}")


@route("background")
def background(call):
    body = b'{"accepted": true}'
    fields = [("Content-Length", str(len(body)))]
    call.start("202 Accepted", "application/json", fields)
    return ThenClose(body, call.argument("gate"))


@route("visits")
def visits(call):
    cookie = SimpleCookie(call.environ.get("HTTP_COOKIE", ""))
    count = int(cookie["visits"].value) + 1 if "visits" in cookie else 1
    fields = [("Set-Cookie", f"visits={count}; Path=/"), ("Set-Cookie", "other=1; Path=/")]
    return call.answer_json({"visits": count}, fields=fields)


@route("crash")
def crash(call):
    raise RuntimeError(f"crash on purpose {call.argument('token')}")


@route("crash-midway")
def crash_midway(call):
    call.start()
    yield b"some of it"
    raise RuntimeError(f"crash on purpose {call.argument('token')}")


@route("tagged")
def tagged(call):
    fields = [("ETag", '"v1"')]
    if call.environ.get("HTTP_IF_NONE_MATCH") == '"v1"':
        call.start("304 Not Modified", fields=fields)
        return []
    return call.answer(b"tagged content", fields=fields)


@route("file")
def file(call):
    call.start(kind="application/octet-stream")
    opened = open(shared(call.argument("name")), "rb")  # noqa: SIM115 - the wrapper closes it
    return call.environ["wsgi.file_wrapper"](opened, 8192)


@route("where")
def where(call):
    environ = call.environ
    return call.answer_json(
        {
            "prefix": environ["SCRIPT_NAME"],
            "url": environ["SCRIPT_NAME"] + "/where",
            "client": environ["REMOTE_ADDR"] or None,
            "scheme": environ["wsgi.url_scheme"],
            "forwarded": environ.get("HTTP_X_FORWARDED_FOR"),
            "host": environ["HTTP_HOST"],
        }
    )
