"""WSGI (PEP 3333). See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.interface.wsgi.application import WsgiApplication
from granian_d.interface.wsgi.lone import LoneApplication

if TYPE_CHECKING:
    from granian_d.interface.contract import Application, Context

__all__ = ["make"]


def make(app: Application, context: Context) -> WsgiApplication:
    """The interface `wsgi`."""
    kind = LoneApplication if context.blocking_threads == 1 else WsgiApplication
    return kind(app, context)
