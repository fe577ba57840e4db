"""The one place that picks an engine."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from granian_d.errors import EngineMissing

if TYPE_CHECKING:
    from granian_d.engine.contract import EndpointMaker, SessionMaker, UpgradedMaker
    from granian_d.engine.datagrams import Credentials, HallMaker
    from granian_d.plan.model import EngineName

Protocol = Literal["h1", "h2", "h2c", "websocket"]

# What speaks which protocol; the native ones are there where the package was compiled.
_MAKERS: Final[dict[tuple[str, Protocol], tuple[str, str]]] = {
    ("native", "h1"): ("granian_d.engine.native.h1", "H1Endpoint"),
    ("native", "h2"): ("granian_d.engine.native.h2", "H2Endpoint"),
    ("native", "h2c"): ("granian_d.engine.native.h2", "upgraded"),
    ("native", "websocket"): ("granian_d.engine.native.ws", "make_session"),
    ("pure", "h1"): ("granian_d.engine.pure.h1", "H1Endpoint"),
    ("pure", "h2"): ("granian_d.engine.pure.h2", "H2Endpoint"),
    ("pure", "h2c"): ("granian_d.engine.pure.h2", "upgraded"),
    ("pure", "websocket"): ("granian_d.engine.pure.ws", "make_session"),
}

# QUIC has one engine, on a library that not everybody has.
_HALL: Final = ("granian_d.engine.pure.quic.hall", "QuicHall")
_HTTP3: Final = ("granian_d.engine.pure.h3.endpoint", "H3Endpoint")
_CERTIFICATES: Final = "granian_d.engine.pure.quic.certificates"
_QUIC_LIBRARY: Final = "aioquic"
QUIC_MISSING: Final = "HTTP/3 needs the extra http3: pip install 'granian-d[http3]'"


def is_compiled() -> bool:
    """Whether the native engine is installed."""
    return find_spec(_MAKERS["native", "h1"][0]) is not None


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


@overload
def choose(name: EngineName, protocol: Literal["h1", "h2"] = "h1") -> EndpointMaker: ...


@overload
def choose(name: EngineName, protocol: Literal["h2c"]) -> UpgradedMaker: ...


@overload
def choose(name: EngineName, protocol: Literal["websocket"]) -> SessionMaker: ...


def choose(name: EngineName, protocol: Protocol = "h1") -> Any:
    """What speaks `protocol` on the connections of a worker; for the name see `resolve`."""
    module, maker = _MAKERS[resolve(name), protocol]
    return getattr(import_module(module), maker)


def speaks_quic() -> bool:
    """Whether the library for QUIC is installed."""
    return find_spec(_QUIC_LIBRARY) is not None


def choose_hall(name: EngineName) -> HallMaker:
    """What speaks QUIC, and HTTP/3 on it: one engine, in which `name` speaks WebSocket alone.

    Raises:
        EngineMissing: the library for it is not installed.
    """
    if not speaks_quic():
        raise EngineMissing(QUIC_MISSING)
    hall, endpoint = (getattr(import_module(module), made) for module, made in (_HALL, _HTTP3))
    return partial(hall, partial(endpoint, resolve(name)))


def judge_credentials(credentials: Credentials) -> None:
    """Raise ConfigError if they cannot be used for QUIC."""
    import_module(_CERTIFICATES).read_pairs(credentials)
