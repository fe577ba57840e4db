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
    """

    target: str
    interface: str
    has: frozenset[str]
    field: str


def _framework(target: str, interface: str, has: str) -> Framework:
    field = target.partition("_")[0]
    return Framework(target, interface, frozenset(has.split()), field)


_FULL = "template upload session"
_ASYNC = "state events listen"
# sessions: WebSockets at all. handshake: it has a say in one, and in the code that closes it.
_SESSIONS = "sessions handshake"
# incoming: a body is seen while it arrives (Django's ASGI handler waits for all of it).
# chunked: a body without Content-Length is seen at all (Django's WSGI handler sees none).
# broken: an upload that breaks off is an error where the body is read.
_BODIES = "incoming chunked broken"
# cut: an exception in a stream reaches the server before the end of the stream does (behind
#   Starlette's BaseHTTPMiddleware, which the FastAPI site uses, it comes after a regular end).

FRAMEWORKS = {
    "fastapi": _framework(
        "fastapi_site:app", "asgi", f"{_FULL} {_ASYNC} {_BODIES} {_SESSIONS} range static prefix"
    ),
    "starlette": _framework(
        "starlette_site:app",
        "asgi",
        f"{_FULL} {_ASYNC} {_BODIES} {_SESSIONS} cut range static prefix",
    ),
    "django-asgi": _framework(
        "django_site.asgi:application", "asgi", f"{_FULL} events chunked cut prefix"
    ),
    "django-wsgi": _framework(
        "django_site.wsgi:application", "wsgi", f"{_FULL} incoming broken cut prefix"
    ),
    "flask": _framework("flask_site:app", "wsgi", f"{_FULL} {_BODIES} cut range static prefix"),
    "asgi": _framework("asgi_site:app", "asgi", f"{_ASYNC} {_BODIES} {_SESSIONS} cut prefix"),
    "wsgi": _framework("wsgi_site:app", "wsgi", f"{_BODIES} cut prefix"),
    "rsgi": _framework("rsgi_site:app", "rsgi", f"{_ASYNC} incoming chunked sessions cut range"),
}

# How a site is reached, and which run of the daemon that is: one has both of its own sockets.
DOORS = {"tcp": "direct", "unix": "direct", "activated": "activated"}


def every(*features: str, doors=tuple(DOORS)):
    """Run a test on every site that has `features`, through each of `doors` (fixture `site`)."""
    rows = [
        pytest.param((name, DOORS[door]), door, id=f"{name}-{door}")
        for name, framework in FRAMEWORKS.items()
        for door in doors
        if framework.has.issuperset(features)
    ]
    return pytest.mark.parametrize(("running", "door"), rows, indirect=["running"], scope="session")


def on_engines(*features: str):
    """Run a test on every site that has `features`, on each engine, on TCP and a unix socket."""
    rows = [
        pytest.param((name, engine), door, id=f"{name}-{engine}-{door}")
        for name, framework in FRAMEWORKS.items()
        for engine in ENGINES
        for door in ("tcp", "unix")
        if framework.has.issuperset(features)
    ]
    return pytest.mark.parametrize(("running", "door"), rows, indirect=["running"], scope="session")


def one(name: str, doors=("tcp",)):
    """Run a test on one site."""
    rows = [pytest.param((name, DOORS[door]), door, id=f"{name}-{door}") for door in doors]
    return pytest.mark.parametrize(("running", "door"), rows, indirect=["running"], scope="session")
