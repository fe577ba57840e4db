"""The manager's store of descriptors (sd_notify(3): FDSTORE, FDSTOREREMOVE): what is in it outlives
this process, by a restart or by its death, and comes back with LISTEN_FDS at the next start.

Whether there is a store (FileDescriptorStoreMax=) nobody tells before systemd 254, so everything is
offered; a manager without one passes it over. Names are shown to every user of the machine: they
hold addresses and no secret.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from granian_d.systemd.activation import InheritedSocket
    from granian_d.systemd.notify import Notifier

PREFIX: Final = "granian-d."
NAMELESS: Final = "stored"  # what systemd calls a stored descriptor that was given no name
LONGEST_NAME: Final = 255  # FDNAME_MAX of systemd
SCOREBOARD: Final = PREFIX + "scoreboard"
TICKETS: Final = PREFIX + "tickets"
QUIC_KEY: Final = PREFIX + "quic"

# Printable ASCII but ":" is allowed by systemd; "%" escapes, "@" begins what we add.
_PLAIN: Final = frozenset(map(chr, range(0x21, 0x7F))) - frozenset(':%@"\\')


def listener_name(key: str) -> str:
    """The name under which a listener is kept, without its mark."""
    octets = key.encode("utf-8", "surrogateescape")
    quoted = (chr(one) if chr(one) in _PLAIN else f"%{one:02X}" for one in octets)
    return PREFIX + "listener." + "".join(quoted)


def is_stored(name: str) -> bool:
    """The name of a descriptor says that it comes from the store, not from a socket unit."""
    return name.startswith(PREFIX) or name == NAMELESS


class Stored(NamedTuple):
    """A descriptor that came back.

    Attributes:
        name: its whole name.
        mark: what its name says beyond that of the thing; "" for nothing.
        fd: the descriptor, which becomes the taker's.
    """

    name: str
    mark: str
    fd: int


class _Order(NamedTuple):
    """What the manager has yet to be told of one name."""

    remove: bool
    fd: int  # to keep; -1 for none


class FdStore:
    """What is kept, and what came back.

    Args:
        notifier: the wire to the manager.
        passed: descriptors that came from the store; those that nobody takes are to be dropped.
    """

    __slots__ = ("_back", "_notifier", "_waiting")

    def __init__(self, notifier: Notifier, passed: Iterable[InheritedSocket] = ()) -> None:
        self._notifier = notifier
        self._back: dict[str, int] = {}
        self._waiting: dict[str, _Order] = {}  # by name: the manager did not read
        for name, fd in passed:
            if name in self._back:
                os.close(fd)
            else:
                self._back[name] = fd

    @property
    def exists(self) -> bool:
        """There is a manager, so there may be a store."""
        return self._notifier.is_addressed

    def take(self, thing: str) -> Stored | None:
        """What came back under that name, if anything did."""
        for name in self._back:
            base, _, mark = name.partition("@")
            if base == thing:
                return Stored(name, mark, self._back.pop(name))
        return None

    def put(self, name: str, fd: int, *, replace: bool = False) -> None:
        """Have a descriptor kept; with `replace`, in place of what is kept under that name."""
        if self.exists and len(name) <= LONGEST_NAME:
            self._tell(name, _Order(remove=replace, fd=os.dup(fd)))

    def remove(self, name: str) -> None:
        """Keep it no more. A stored duplicate would hold open what we close."""
        if self.exists:
            self._tell(name, _Order(remove=True, fd=-1))

    def drop_rest(self) -> None:
        """Nobody takes any more: close what is left, and have it kept no more."""
        for name, fd in self._back.items():
            self.remove(name)
            os.close(fd)
        self._back.clear()

    def flush(self) -> None:
        """Tell the manager what it did not take before."""
        for name in list(self._waiting):
            self._tell(name, self._waiting.pop(name))

    def close(self) -> None:
        """In a child: nothing of it is its own."""
        for order in self._waiting.values():
            if order.fd != -1:
                os.close(order.fd)
        self._waiting.clear()

    def _tell(self, name: str, order: _Order) -> None:
        before = self._waiting.pop(name, None)
        if before is not None:
            order = order._replace(remove=order.remove or before.remove)
            if before.fd != -1:
                os.close(before.fd)
        if order.remove and not self._notifier.drop(name):
            self._waiting[name] = order
        elif order.fd != -1 and not self._notifier.keep(name, order.fd):
            self._waiting[name] = order._replace(remove=False)
        elif order.fd != -1:
            os.close(order.fd)
