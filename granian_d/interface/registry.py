"""The interfaces by name. A new interface is one folder and one row here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.interface.contract import Application, Context, Interface

ROOMS: Final = {
    "asgi": "granian_d.interface.asgi:make",
    "asginl": "granian_d.interface.asgi:make_without_lifespan",
    "wsgi": "granian_d.interface.wsgi:make",
    "rsgi": "granian_d.interface.rsgi:make",
}


def load(name: str) -> Callable[[Application, Context], Interface]:
    """The maker of the interface called `name`; imports its room and no other."""
    module, attribute = ROOMS[name].split(":")
    return cast(
        "Callable[[Application, Context], Interface]", getattr(import_module(module), attribute)
    )
