"""The waist: what a request and its response are, whatever wire and application. See README.md.

`HTTP1Settings` and `HTTP2Settings` are for programs that start the daemon (docs/api.md); no other
process imports them.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granian_d.http.settings import HTTP1Settings, HTTP2Settings

__all__ = ["HTTP1Settings", "HTTP2Settings"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from granian_d.http import settings  # noqa: PLC0415 - see above

    return globals().setdefault(name, getattr(settings, name))
