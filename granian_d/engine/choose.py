"""The one place that picks an engine."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

from granian_d.errors import EngineMissing

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Endpoint, Service, Wire
    from granian_d.http.message import Peer
    from granian_d.plan import Limits
    from granian_d.plan.model import EngineName

# What speaks HTTP/1.x; the native ones are there where the package was compiled.
_MAKERS: Final = {
    "native": ("granian_d.engine.native.h1", "H1Endpoint"),
    "pure": ("granian_d.engine.pure.h1", "H1Endpoint"),
}


class EngineMaker(Protocol):
    """What makes the endpoint of a new connection."""

    def __call__(
        self, wire: Wire, peer: Peer, service: Service, limits: Limits, clock: Clock, /
    ) -> Endpoint:
        """Make it; it is fed from then on."""


def is_compiled() -> bool:
    """Whether the native engine is installed."""
    return find_spec(_MAKERS["native"][0]) is not None


def resolve(name: EngineName) -> EngineName:
    """The engine that "auto" means here: the native one where it is installed.

    Raises:
        EngineMissing: the native engine is wanted and not installed.
    """
    compiled = is_compiled()
    if name == "auto":
        return "native" if compiled else "pure"
    if name == "native" and not compiled:
        raise EngineMissing(
            "the native engine is not installed: the package was built without a C compiler or"
            " the headers of Python (on Debian: apt install gcc python3-dev, then install it again)"
        )
    return name


def choose(name: EngineName) -> EngineMaker:
    """The engine for the connections of a worker; see `resolve`."""
    module, maker = _MAKERS[resolve(name)]
    chosen: EngineMaker = getattr(import_module(module), maker)
    return chosen
