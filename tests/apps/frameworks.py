"""Which applications there are, and what each of them has: the one table all tests are made from.

A behaviour that every site shows needs no entry. `has` names the rest, as the endpoints that a
site has beyond those (README.md describes them).
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.wire.harness import ENGINES


class Framework(NamedTuple):
    """One application under sites/.

    Attributes:
        target: what `granian-d` is given.
        interface: what it speaks.
        has: features beyond what all sites have.
        field: value of the field x-site that its middleware adds.
        doors: how it is reached in the tests of the whole table.
    """

    target: str
    interface: str
    has: frozenset[str]
    field: str
    doors: tuple[str, ...]


# How a site is reached, and which run of the daemon that is: one has both of its own sockets.
DOORS = {"tcp": "direct", "unix": "direct", "activated": "activated"}
# "direct" is on the native engine, where there is one.
RUNS = {engine: "direct" if engine == "native" else engine for engine in ENGINES}


def _framework(target: str, interface: str, has: str, field: str = "") -> Framework:
    field = field or target.partition("_")[0]
    return Framework(target, interface, frozenset(has.split()), field, tuple(DOORS))


def _more(*args: str) -> Framework:
    """A framework whose way of being reached others have shown."""
    return _framework(*args)._replace(doors=("tcp",))


_FULL = "template upload session"
_ASYNC = "state events listen"
# sessions: WebSockets at all. handshake: it has a say in one, and in the code that closes it.
# refusal: what it has no route for is refused with 403. denial: it can refuse with 401.
# goodbye: it learns code and reason of a peer's Close. fault: its exception closes with 1011.
# empty: it takes an empty message of bytes (Quart looks for the text instead).
_SESSIONS = "sessions handshake refusal denial goodbye fault empty"
# incoming: a body is seen while it arrives (Django's ASGI handler waits for all of it).
# chunked: a body without Content-Length is seen at all (Django's WSGI handler sees none).
# broken: an upload that breaks off is an error where the body is read (Falcon's just ends).
_BODIES = "incoming chunked broken"
# peer: it shows the peer's address, and not what X-Forwarded-For says (Emmett takes its word).
# midway: an exception in a stream is logged (Emmett drops it).
# head: HEAD of a file has the fields of GET (Emmett's has not).
# end: it is told of a worker's end (Emmett has no hook for it).
_TOLD = "peer midway head end"
# cut: an exception in a stream reaches the server before the end of the stream does (behind
#   Starlette's BaseHTTPMiddleware, which the FastAPI site uses, it comes after a regular end).
_PLAIN_ASGI = f"{_ASYNC} {_BODIES} {_TOLD} {_SESSIONS} cut"

FRAMEWORKS = {
    "fastapi": _framework(
        "fastapi_site:app",
        "asgi",
        f"{_FULL} {_ASYNC} {_BODIES} {_TOLD} {_SESSIONS} range static prefix",
    ),
    "starlette": _framework(
        "starlette_site:app", "asgi", f"{_FULL} {_PLAIN_ASGI} range static prefix"
    ),
    "django-asgi": _framework(
        "django_site.asgi:application", "asgi", f"{_FULL} {_TOLD} events chunked cut prefix"
    ),
    "django-wsgi": _framework(
        "django_site.wsgi:application", "wsgi", f"{_FULL} {_TOLD} incoming broken cut prefix"
    ),
    "flask": _framework(
        "flask_site:app", "wsgi", f"{_FULL} {_BODIES} {_TOLD} cut range static prefix"
    ),
    "asgi": _framework("asgi_site:app", "asgi", f"{_PLAIN_ASGI} prefix"),
    "wsgi": _framework("wsgi_site:app", "wsgi", f"{_BODIES} {_TOLD} cut prefix"),
    "rsgi": _framework(
        "rsgi_site:app",
        "rsgi",
        f"{_ASYNC} {_TOLD} incoming chunked sessions refusal denial fault empty cut range",
    ),
    # Quart and Emmett say nothing of a peer's code, and close with 1000 after an exception,
    # Litestar with 4500. Quart and Emmett refuse what they do not know with 404.
    "quart": _more(
        "quart_site:app",
        "asgi",
        f"{_FULL} {_ASYNC} {_BODIES} {_TOLD} sessions handshake range static",
    ),
    # Its static files have no conditional requests; it denies by closing: 403.
    "litestar": _more(
        "litestar_site:app",
        "asgi",
        f"{_FULL} {_ASYNC} {_BODIES} {_TOLD} sessions handshake refusal goodbye empty cut",
    ),
    # Templates, sessions and files with ranges are extensions.
    "blacksheep": _more(
        "blacksheep_site:app",
        "asgi",
        f"upload {_ASYNC} {_BODIES} {_TOLD} sessions handshake refusal fault empty cut",
    ),
    "falcon-asgi": _more(
        "falcon_asgi:app",
        "asgi",
        f"upload state events {_TOLD} incoming chunked sessions handshake refusal fault empty cut",
    ),
    "falcon-wsgi": _more("falcon_wsgi:app", "wsgi", f"upload {_BODIES} {_TOLD} cut"),
    "emmett": _more(
        "emmett_site:app", "rsgi", "upload session state events incoming chunked sessions empty"
    ),
    # Its router raises where there is no route; a consumer denies with 403.
    "channels": _more(
        "channels_site:application",
        "asgi",
        f"{_FULL} {_TOLD} events chunked cut sessions handshake goodbye fault empty",
        "django",
    ),
    "socketio": _more("socketio_site:app", "asgi", _PLAIN_ASGI, "asgi"),
}


def every(*features: str, doors=tuple(DOORS)):
    """Run a test on every site that has `features`, through each of `doors` (fixture `site`)."""
    rows = [
        pytest.param((name, DOORS[door]), door, id=f"{name}-{door}")
        for name, framework in FRAMEWORKS.items()
        for door in doors
        if door in framework.doors and framework.has.issuperset(features)
    ]
    return pytest.mark.parametrize(("running", "door"), rows, indirect=["running"], scope="session")


def on_engines(*features: str):
    """Run a test on every site that has `features`, on each engine, on TCP and a unix socket."""
    rows = [
        pytest.param((name, RUNS[engine]), door, id=f"{name}-{engine}-{door}")
        for name, framework in FRAMEWORKS.items()
        for engine in ENGINES
        for door in ("tcp", "unix")
        if door in framework.doors and framework.has.issuperset(features)
    ]
    return pytest.mark.parametrize(("running", "door"), rows, indirect=["running"], scope="session")


def on_versions(*features: str):
    """On every site that has `features`: each engine with each version of HTTP, but for the default.

    The native engine with HTTP/1.1 is what `every` asks.
    """
    rows = [
        pytest.param((name, RUNS[engine]), door, id=f"{name}-{engine}-{door}")
        for name, framework in FRAMEWORKS.items()
        for engine in ENGINES
        for door in ("tcp", "h2")
        if (engine, door) != ("native", "tcp") and framework.has.issuperset(features)
    ]
    return pytest.mark.parametrize(("running", "door"), rows, indirect=["running"], scope="session")


def one(name: str, doors=("tcp",)):
    """Run a test on one site."""
    rows = [pytest.param((name, DOORS[door]), door, id=f"{name}-{door}") for door in doors]
    return pytest.mark.parametrize(("running", "door"), rows, indirect=["running"], scope="session")
