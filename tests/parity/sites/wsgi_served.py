"""A WSGI application below the standard library's validator, which asks both sides for all of it."""

import json
import os
import sys
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]


def echo(environ, start_response):
    """The body, read in the way that the query names."""
    body = environ["wsgi.input"]
    ways = {
        "whole": lambda: [body.read(1 << 20)],
        "rest": lambda: [body.read(3), body.read(-1)],
        "lines": body.readlines,
        "line": lambda: list(iter(body.readline, b"")),
        "sized": lambda: [body.readline(4), body.readline(4), body.readline()],
        "iteration": lambda: list(body),
    }
    # The validator lets nobody read without a size, nor limit a line: PEP 3333 does.
    way = environ["QUERY_STRING"]
    if way in ("rest", "sized"):
        body = body.input
    parts = ways[way]()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([part.decode() for part in parts]).encode()]


def generator(environ, start_response):
    start_response("404 Not Found", [*TEXT, ("X-Late", "1")])
    yield b"one "
    yield b"two"


def written(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"one ")
    write(b"two")
    return [b" three"]


def file(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


def mended(environ, start_response):
    """A head that is taken back while it can be."""
    start_response("200 OK", TEXT)
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        start_response("503 Busy", TEXT, sys.exc_info())
    return [b"sorry"]


def shown(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    kinds = (str, int, bool, tuple)
    facts = {key: value for key, value in environ.items() if isinstance(value, kinds)}
    return [json.dumps({**facts, "secret": os.environ["SECRET"] in environ.values()}).encode()]


class Closing:
    """An iterable that notes its `close`."""

    def __init__(self, parts):
        self._parts = parts

    def __iter__(self):
        return iter(self._parts)

    def close(self):
        with open("closed", "a") as notes:
            notes.write("closed\n")


def closing(environ, start_response):
    start_response("200 OK", TEXT)
    return Closing([b"one ", b"two"])


PATHS = {
    "/echo": echo,
    "/generator": generator,
    "/written": written,
    "/mended": mended,
    "/shown": shown,
    "/closing": closing,
}
CHECKED = {path: validator(app) for path, app in PATHS.items()}
CHECKED["/file"] = file  # the validator makes an iterator of a file wrapper: see the unit tests


def app(environ, start_response):
    return CHECKED.get(environ["PATH_INFO"], CHECKED["/shown"])(environ, start_response)
