"""granian-d: a pre-fork daemon for Python web applications, made for systemd.

For programs that start it themselves: `Granian` and `loops` (docs/api.md), imported when they are
asked for, since most processes of the daemon have no use for them.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granian_d.event_loops import loops
    from granian_d.server import Server as Granian

__all__ = ["Granian", "__version__", "loops"]

_PLACES = {"Granian": ("granian_d.server", "Server"), "loops": ("granian_d.event_loops", "loops")}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - not before it is needed, as all else

    module, attribute = _PLACES[name]
    found: object = getattr(import_module(module), attribute)
    return globals().setdefault(name, found)
