"""Where workers read datagrams: the UDP sockets of listeners with HTTP/3, seats, and who is steered
to them.

For each address of such a listener there is one group of sockets, opened with the plan: socket i
is read by the worker that has seat i. It grows when a higher seat is taken and is never made
smaller, since to close one socket renumbers others; it is closed as a whole, when neither a plan
nor a worker wants it. A new worker has the seat of one that died, so that it reads what is sent to
the dead one's connections, and tells their clients; else the lowest that is free.

A datagram socket that the service manager passed begins a group if ours may be bound beside it (it
was opened by our own user); else all workers read it. So they do where the kernel takes no program:
its hash would give most datagrams to sockets whose seats are free. None of them is stored for the
next start: a queue of datagrams is worth nothing to it. The key is, which tells its ids and tokens
for ours.

Imported by a master whose plan has HTTP/3.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.control.channel import Berth
from granian_d.engine.connection_ids import KEY_BYTES, MOST_SEATS, mailbox, words_of
from granian_d.errors import ListenError
from granian_d.supervisor.vocabulary import Report
from granian_d.transport.datagrams import tune
from granian_d.transport.steering import attach, steer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from granian_d.plan import DaemonPlan, ListenerPlan
    from granian_d.supervisor.handover import Handover, HeldGroup
    from granian_d.supervisor.os_calls import OsCalls

LEAST_SOCKETS: Final = 2  # of a group: the kernel takes no program for one that is alone
NO_SEAT: Final = -1
_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)
# Another user's socket has that address, or it takes a capability to bind it.
_NOT_OURS: Final = (errno.EADDRINUSE, errno.EACCES, errno.EPERM)


class Group:
    """The UDP sockets of one address.

    Args:
        sockets: by seat; if `shared`, all of them are everybody's.
        shared: there is none for each seat.

    Attributes:
        steered: what the kernel was told last: seats that take new connections, number of sockets.
    """

    __slots__ = ("shared", "sockets", "steered")

    def __init__(self, sockets: list[socket.socket], *, shared: bool) -> None:
        self.sockets = sockets
        self.shared = shared
        self.steered: tuple[tuple[int, ...], int] = ((), 0)

    def grow(self, size: int) -> None:
        """Have at least so many sockets.

        Raises:
            OSError: one of them cannot be had; those before it are there.
        """
        while len(self.sockets) < size:
            self.sockets.append(_bind_beside(self.sockets[0]))

    def of(self, seat: int) -> list[socket.socket]:
        """What the worker of that seat reads."""
        return self.sockets if self.shared else [self.sockets[seat]]

    def share(self) -> None:
        """Have all workers read those that were there before the last one, which is closed."""
        self.sockets.pop().close()
        self.shared = True

    def close(self) -> None:
        """Let go of all of them."""
        for sock in self.sockets:
            sock.close()


class Sitter(NamedTuple):
    """A worker that has a seat.

    Attributes:
        seat: its number.
        keys: of the listeners whose datagrams it reads.
        takes: new connections.
    """

    seat: int
    keys: frozenset[str]
    takes: bool


class Datagrams:
    """The groups by the key of their listeners, and the workers that sit at them.

    Args:
        house: whose.
        key: the QUIC key of the program before; b"" for a new one.
    """

    __slots__ = ("_groups", "_house", "_lost", "_sitters", "_unsteered", "_wanted", "_words", "key")

    def __init__(self, house: OsCalls, key: bytes = b"") -> None:
        self._house = house
        self.key: Final = key if len(key) == KEY_BYTES else os.urandom(KEY_BYTES)
        self._words = words_of(self.key)
        self._groups: dict[str, tuple[Group, ...]] = {}
        self._wanted: set[str] = set()
        self._sitters: dict[int, Sitter] = {}  # by the number of the worker
        self._lost: list[int] = []  # seats of those that died, and left connections there
        self._unsteered = False  # the kernel has refused a program

    # --- the sockets ---------------------------------------------------------------------------

    def open(self, plan: DaemonPlan) -> None:
        """Open what is not open yet; all of it or nothing.

        Raises:
            ListenError: an address cannot be had, most often because somebody else has it.
        """
        new: dict[str, tuple[Group, ...]] = {}
        wanted = [listener for listener in plan.listeners if listener.http3]
        try:
            for listener in wanted:
                if listener.key not in self._groups:
                    new[listener.key] = self._open(listener)
        except ListenError:
            _close(new.values())
            raise
        self._groups |= new
        self._wanted |= {listener.key for listener in wanted}
        self._steer()

    def retain(self, plan: DaemonPlan) -> None:
        """That plan is the service: groups of others are closed when no worker reads them."""
        self._wanted = {listener.key for listener in plan.listeners if listener.http3}
        self._tidy()

    def sockets(self, listener: ListenerPlan) -> tuple[socket.socket, ...]:
        """One of each address of a listener."""
        return tuple(group.sockets[0] for group in self._groups.get(listener.key, ()))

    def _open(self, listener: ListenerPlan) -> tuple[Group, ...]:
        passed = self._house.listeners.datagrams(listener)
        groups: list[Group] = []
        try:
            groups.extend(map(_adopt, _by_address(passed)))
            if not passed:
                streams = self._house.listeners.sockets([listener])
                groups.extend(_open_like(one) for one in streams if one.family in _INTERNET)
            for group in groups:
                self._begin(group)
        except OSError as error:
            _close([groups])
            hint = "; ListenDatagram= in its unit has systemd open it"
            raise ListenError(
                f"cannot listen on {listener.key} for HTTP/3: {error.strerror}"
                f"{hint if listener.kind == 'systemd' else ''}"
            ) from error
        return tuple(groups)

    # --- the workers ---------------------------------------------------------------------------

    def sit(self, number: int, plan: DaemonPlan) -> Berth | None:
        """Give a worker a seat; None if there is nothing for it to read.

        The mailbox becomes the caller's, the other sockets stay the master's.

        Raises:
            OSError: a socket cannot be had.
        """
        listeners = [one for one in plan.listeners if one.http3 and one.key in self._groups]
        if not listeners:
            return None
        seat, box = self._find_seat()
        try:
            for group in self._steerable(one.key for one in listeners):
                group.grow(seat + 1)
        except OSError:
            box.close()
            raise
        keys = frozenset(one.key for one in listeners)
        self._sitters[number] = Sitter(seat, keys, takes=False)
        self._steer()
        return Berth(seat, self.key, self._sockets(listeners, seat), box)

    def pattern(self, plan: DaemonPlan) -> Berth | None:
        """For a mold: what the berths of its workers are like. Its own sockets are nobody's."""
        listeners = [one for one in plan.listeners if one.http3 and one.key in self._groups]
        if not listeners:
            return None
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as closed:
            return Berth(NO_SEAT, self.key, self._sockets(listeners, 0), closed)

    def resume(self, number: int, seat: int, *, takes: bool) -> None:
        """A worker of this process' last program has that seat."""
        self._sitters[number] = Sitter(seat, frozenset(self._groups), takes)

    def join(self, number: int) -> None:
        """A worker is ready: it takes new connections."""
        if number in self._sitters:
            self._sitters[number] = self._sitters[number]._replace(takes=True)
            self._steer()

    def leave(self, number: int) -> None:
        """A worker is about to be told to drain: it keeps what it has."""
        if number in self._sitters:
            self._sitters[number] = self._sitters[number]._replace(takes=False)
            self._steer()

    def rise(self, number: int, *, died: bool = False) -> None:
        """A worker is gone, or a worker no more: its seat is free."""
        if (sitter := self._sitters.pop(number, None)) is not None:
            if died:
                self._lost.append(sitter.seat)
            self._steer()
            self._tidy()

    def seat(self, number: int) -> int:
        """That of a worker; NO_SEAT for none."""
        sitter = self._sitters.get(number)
        return NO_SEAT if sitter is None else sitter.seat

    def _find_seat(self) -> tuple[int, socket.socket]:
        """A seat that is free, and its mailbox.

        Who has died may have left its mailbox open in a program that it started: then the next one.

        Raises:
            OSError: there is none.
        """
        taken = {sitter.seat for sitter in self._sitters.values()}
        for seat in (*self._lost, *range(MOST_SEATS)):
            if seat in taken:
                continue
            box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                box.bind(mailbox(self.key, seat))
                box.setblocking(False)
            except OSError as error:
                box.close()
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                self._lost = [one for one in self._lost if one != seat]
                return seat, box
        raise OSError(errno.EADDRNOTAVAIL, "no seat is free")

    def _sockets(
        self, listeners: Sequence[ListenerPlan], seat: int
    ) -> tuple[tuple[ListenerPlan, socket.socket, bool], ...]:
        return tuple(
            (one, sock, group.shared)
            for one in listeners
            for group in self._groups[one.key]
            for sock in group.of(seat)
        )

    # --- steering ------------------------------------------------------------------------------

    def _steerable(self, keys: Iterable[str]) -> list[Group]:
        return [group for key in keys for group in self._groups[key] if not group.shared]

    def _steer(self) -> None:
        """Tell the kernel who takes new connections.

        While nobody does, those get them who start, and will, or who drain, and answer all the
        same; while nobody is there, the seat that the next worker will have.
        """
        for key in self._groups:
            for group in self._steerable([key]):
                size = len(group.sockets)
                here = [
                    one for one in self._sitters.values() if key in one.keys and one.seat < size
                ]
                takers = [sitter for sitter in here if sitter.takes] or here
                seats = tuple(sorted(sitter.seat for sitter in takers)) or (0,)
                if group.steered != (seats, size):
                    group.steered = (seats, size)
                    self._attach(group, seats)

    def _begin(self, group: Group) -> None:
        """Find out whether the kernel steers a new group; if it does not, all read one socket."""
        if not group.shared and not self._attach(group, (0,)):
            group.share()

    def _attach(self, group: Group, seats: tuple[int, ...]) -> bool:
        """Give the kernel a new program; False: it goes on with the one that it has."""
        try:
            attach(group.sockets[0], steer(self._words, seats, len(group.sockets)))
        except OSError as error:
            if not self._unsteered:
                self._unsteered = True
                self._house.report(Report("steering_failed", {"reason": error.strerror}))
            return False
        return True

    # --- the end -------------------------------------------------------------------------------

    def _tidy(self) -> None:
        """Close groups that neither a plan nor a worker wants."""
        used = self._wanted.union(*(sitter.keys for sitter in self._sitters.values()))
        for key in [key for key in self._groups if key not in used]:
            _close([self._groups.pop(key)])

    def let_go(self, berth: Berth | None = None) -> None:
        """In a child: all but what is its own is not."""
        own = {sock for _, sock, _ in berth.sockets} if berth is not None else set()
        for groups in self._groups.values():
            for group in groups:
                for sock in set(group.sockets) - own:
                    sock.close()

    def close(self) -> None:
        """The daemon ends."""
        _close(self._groups.values())
        self._groups.clear()

    # --- an upgrade in place -------------------------------------------------------------------

    def held(self) -> Mapping[str, tuple[Group, ...]]:
        """All groups, by the keys of their listeners."""
        return self._groups

    def adopt(self, held: Iterable[HeldGroup]) -> None:
        """Go on with what this process' last program had open."""
        for one in held:
            sockets = [socket.socket(fileno=fd) for fd in one.sockets]
            group = Group(sockets, shared=one.shared)
            self._groups[one.key] = (*self._groups.get(one.key, ()), group)
        self._wanted = set(self._groups)


def begin(house: OsCalls) -> Datagrams:
    """With the key of the program before this one, if the service manager has kept it."""
    kept = house.safekeeping.take_quic_key()
    datagrams = Datagrams(house, kept)
    if kept != datagrams.key:
        house.safekeeping.keep_quic_key(datagrams.key)
    return datagrams


def resume(house: OsCalls, handover: Handover) -> Datagrams:
    """With what this process' last program has left."""
    datagrams = Datagrams(house, bytes.fromhex(handover.quic_key))
    datagrams.adopt(handover.groups)
    return datagrams


def _close(groups: Iterable[Collection[Group]]) -> None:
    for some in groups:
        for group in some:
            group.close()


def _by_address(fds: Iterable[int]) -> list[list[socket.socket]]:
    """Our own descriptors of somebody's sockets; those of one address together."""
    found: dict[object, list[socket.socket]] = {}
    for fd in fds:
        sock = socket.socket(fileno=os.dup(fd))
        sock.setblocking(False)
        found.setdefault((sock.family, sock.getsockname()), []).append(sock)
    return list(found.values())


def _adopt(sockets: list[socket.socket]) -> Group:
    """A group that begins with sockets that somebody has opened.

    Raises:
        OSError: the kernel gives none.
    """
    before = [sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for sock in sockets]
    for sock in sockets:
        tune(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    group = Group(sockets, shared=False)
    try:
        group.grow(max(LEAST_SOCKETS, len(sockets) + 1))
    except OSError as error:
        if error.errno not in _NOT_OURS:
            group.close()
            raise
        group.shared = True
        for sock, value in zip(sockets, before, strict=True):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, value)
    return group


def _open_like(stream: socket.socket) -> Group:
    """A group at the address of a stream socket.

    Raises:
        OSError: somebody else has it.
    """
    first = _socket_like(stream)
    try:
        # Alone: with SO_REUSEPORT it would be bound beside those of another daemon of our user.
        first.bind(stream.getsockname())
        tune(first)  # at once: what comes before a worker reads is to tell its address, too
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        group = Group([first], shared=False)
        group.grow(LEAST_SOCKETS)
    except OSError as error:
        first.close()
        host, port = stream.getsockname()[:2]
        reason = f"UDP port {port} of {host}: {error.strerror}"
        raise OSError(error.errno, reason) from error
    return group


def _bind_beside(sock: socket.socket) -> socket.socket:
    """One more socket of a group.

    Raises:
        OSError: the kernel gives none.
    """
    more = _socket_like(sock)
    try:
        more.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        more.bind(sock.getsockname())
        tune(more)
    except OSError:
        more.close()
        raise
    return more


def _socket_like(sock: socket.socket) -> socket.socket:
    """A UDP socket of that family, not bound yet."""
    made = socket.socket(sock.family, socket.SOCK_DGRAM)
    made.setblocking(False)
    if sock.family == socket.AF_INET6:
        alone = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, alone)
    return made
