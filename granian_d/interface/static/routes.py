"""From the path of a request to a mount and the names below it.

Rules of this file: pure functions over bytes; nothing is opened or asked. A path is cut at its
slashes first and decoded then, once: an encoded slash is part of a name, and no name has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.interface.target import percent_decode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from granian_d.interface.static.mount import Mount

_SLASH: Final = 0x2F
_PERCENT: Final = 0x25
_DOT: Final = 0x2E
# A backslash parts names on other systems and in careless programs; NUL ends them for the kernel.
_IN_NO_NAME: Final = (0x2F, 0x5C, 0x00)
_WELL_KNOWN: Final = b".well-known"  # RFC 8615 3


class Wanted(NamedTuple):
    """What a request under a route asks for.

    Attributes:
        mount: of the route.
        names: below it, from the top; None where a name is one that is never served.
        folder: the path ends with a slash: what it names is a directory.
    """

    mount: Mount
    names: tuple[bytes, ...] | None
    folder: bool


class Routes:
    """Where mounts are, in the paths of requests.

    Args:
        mounts: each with its route, "/static" or "/"; a slash at the end of it counts for nothing.
    """

    def __init__(self, mounts: Iterable[tuple[str, Mount]]) -> None:
        cut = [(_names(route.encode()), mount) for route, mount in mounts]
        # Routes that match the same path begin with one another: the one with more names wins.
        self._by_length = sorted(cut, key=lambda entry: -len(entry[0]))

    def find(self, raw_path: bytes) -> Wanted | None:
        """What is asked for; None where no route is the beginning of the path.

        Args:
            raw_path: as in RequestHead.
        """
        if raw_path[:1] != b"/":
            return None  # RFC 9112 3.2.4: the asterisk-form
        path = raw_path[1:].split(b"/")
        if _PERCENT in raw_path:
            path = [percent_decode(name) for name in path]
        for route, mount in self._by_length:
            if path[: len(route)] == route:
                rest = path[len(route) :]
                return Wanted(mount, _judged(rest), bool(rest) and not rest[-1])
        return None


def _names(path: bytes) -> list[bytes]:
    return [name for name in path.split(b"/") if name]


def _judged(rest: list[bytes]) -> tuple[bytes, ...] | None:
    """The names, without the empty ones between two slashes; None if one of them is refused."""
    names = tuple(name for name in rest if name)
    for index, name in enumerate(names):
        if name[0] == _DOT and (index or name != _WELL_KNOWN):
            return None  # "." and ".." among them
        for octet in _IN_NO_NAME:
            if octet in name:
                return None
    return names
