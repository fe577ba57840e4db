"""An application under the wrong interface is told at its start."""

from __future__ import annotations

import functools

import pytest

from granian_d.errors import LoadError
from granian_d.interface.shape import refuse_misfit


async def asgi(scope, receive, send): ...


async def rsgi(scope, protocol): ...


def wsgi(environ, start_response): ...


class Callable:
    def __call__(self, scope, receive, send): ...


class Both:
    def __call__(self, scope, receive, send): ...

    def __rsgi__(self, scope, protocol): ...


def wrapped(*args, **kwargs): ...


@pytest.mark.parametrize(
    ("name", "app"),
    [
        ("asgi", asgi),
        ("asginl", asgi),
        ("asgi", Callable()),
        ("rsgi", rsgi),
        ("wsgi", wsgi),
        ("rsgi", Both()),
        ("asgi", Both()),
        ("asgi", wrapped),
        ("wsgi", wrapped),
        ("wsgi", functools.partial(wsgi)),
        ("asgi", dict),  # no signature that says anything
    ],
)
def test_what_fits_or_cannot_be_judged_passes(name, app):
    refuse_misfit(name, app)


@pytest.mark.parametrize(
    ("name", "app", "hint"),
    [
        ("rsgi", asgi, 'is interface = "asgi" meant?'),
        ("wsgi", Callable(), 'is interface = "asgi" meant?'),
        ("asgi", wsgi, 'is interface = "rsgi" or "wsgi" meant?'),
        ("asginl", rsgi, 'is interface = "rsgi" or "wsgi" meant?'),
    ],
)
def test_what_cannot_be_called_is_refused_with_a_hint(name, app, hint):
    with pytest.raises(LoadError) as caught:
        refuse_misfit(name, app)
    assert str(caught.value).endswith(hint)


def test_what_fits_nothing_has_no_hint():
    with pytest.raises(LoadError, match=r"this one takes \(scope\)$"):
        refuse_misfit("asgi", lambda scope: scope)
