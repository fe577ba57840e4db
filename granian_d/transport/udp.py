"""One UDP address of a worker: the wire of a hall (engine.datagrams), which has its connections.

    readable -> recvmsg -> the hall is fed, datagram by datagram, and then flushed once
    sendmsg  <- send    <- hall

Nothing of the network is a fault here: what cannot be sent is lost, as it might be on its way, and
QUIC sends it again.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from granian_d.engine.contract import NEVER
from granian_d.engine.datagrams import Path
from granian_d.transport.datagrams import (
    CONTROL_BYTES,
    DATAGRAM_BYTES,
    can_join,
    read_controls,
    run_end,
    segments,
    source,
    tune,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from granian_d.engine.contract import Leave
    from granian_d.engine.datagrams import Hall, LinkedConnection
    from granian_d.http.message import Peer
    from granian_d.transport.links import Links
    from granian_d.transport.mailbox import Mailbox

SHARE: Final = 16  # datagrams a turn: each costs what small requests cost; others wait
MOST_SWEPT: Final = 4096  # datagrams read at the end: more than a buffer of RECEIVE_BYTES holds
QUEUE_BYTES: Final = 1024 * 1024  # that wait for the kernel: more would come too late to be of use
EARLY_S: Final = 0.001  # a timer of the loop may be that early: uvloop's count milliseconds
RETRY_S: Final = 0.1  # after a fault of the hall's: it may have left its alarm in the past

_CUT: Final = socket.MSG_TRUNC | socket.MSG_CTRUNC
# The kernel or the device cannot part what we have joined (udp(7); net/ipv4/udp.c).
_CANNOT_PART: Final = frozenset((errno.EINVAL, errno.EIO, errno.EOPNOTSUPP, errno.ENOPROTOOPT))


class UdpSocket:
    """A DatagramWire; it is given its `hall`, and then opened.

    Args:
        loop: turns for it.
        socks: bound to one address, non-blocking; closed with this. Most often there is one; a
            unit may pass several (ReusePort=).
        shared: other workers read from them, too.
        links: the worker's connections.
        mailbox: of the worker.

    Attributes:
        address: that it is bound to: host and port.
        name: what it is called in all workers.
    """

    __slots__ = (
        "_alarm_at",
        "_feeding",
        "_flush_due",
        "_joins",
        "_links",
        "_loop",
        "_mailbox",
        "_queue",
        "_queued_bytes",
        "_reading",
        "_relayed",
        "_shared",
        "_sock",
        "_socks",
        "_timer",
        "address",
        "hall",
        "name",
    )

    hall: Hall

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        socks: Sequence[socket.socket],
        shared: bool,
        links: Links,
        mailbox: Mailbox,
    ) -> None:
        for sock in socks:
            tune(sock)
        self._loop = loop
        self._socks = tuple(socks)
        self._sock = self._socks[0]  # what is sent leaves from this one
        self._shared = shared
        self._links = links
        self._mailbox = mailbox
        self._joins = can_join(self._sock)  # the kernel parts what has been joined
        self._reading = False
        self._feeding = False  # a flush follows
        self._relayed = False  # what is fed has been handed on once
        self._flush_due = False
        self._queue: deque[tuple[Path, Sequence[bytes]]] = deque()
        self._queued_bytes = 0
        self._alarm_at = NEVER
        self._timer: asyncio.TimerHandle | None = None
        self.address: tuple[str, int] = self._sock.getsockname()[:2]
        self.name = "{} {}".format(*self.address).encode()

    def open(self) -> None:
        """Read from now on."""
        self._reading = True
        for sock in self._socks:
            self._loop.add_reader(sock.fileno(), self._read, sock)

    def drain(self, leave: Leave) -> None:
        """Have the hall drained. A shared socket is left to the others; the mailbox stays."""
        if self._shared:
            self._leave()
        self.hall.drain(leave)
        self._flush()

    def sweep(self) -> None:
        """Feed all that is there: who has sent it cannot know that the worker leaves."""
        for sock in self._socks:
            left = MOST_SWEPT
            while self._reading and left > 0 and (taken := self._read(sock)):
                left -= taken

    def close(self) -> None:
        """Send what the hall has to say last; then nothing moves any more."""
        self._flush()
        self.hall.close()
        self._leave()
        if self._queue:
            self._loop.remove_writer(self._sock.fileno())
            self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
        for sock in self._socks:
            sock.close()

    # --- called by the loop --------------------------------------------------------------------

    def _read(self, sock: socket.socket) -> int:
        """Feed what has arrived, a share of it a turn, and have it answered together; how many."""
        now = monotonic()
        count = 0
        self._feeding = True
        try:
            while count < SHARE and (taken := self._take(sock, now)):
                count += taken
        finally:
            self._feeding = False
        if count:  # else somebody else has read it
            self._flush()
        return count

    def _take(self, sock: socket.socket, now: float) -> int:
        """Feed what one call brings; how many datagrams, at least 1 if there may be more."""
        try:
            data, controls, flags, peer = sock.recvmsg(DATAGRAM_BYTES, CONTROL_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            return 1  # what has become of something that we have sent: its peer has no port there
        if flags & _CUT or not peer[1]:
            return 1  # nobody knows where one ends; nobody can be answered at port 0
        size, local = read_controls(controls)
        path = Path(peer, local)
        if not size or len(data) <= size:
            self._feed(path, data, now)
            return 1
        starts = range(0, len(data), size)
        for at in starts:
            self._feed(path, data[at : at + size], now)
        return len(starts)

    def _ring(self) -> None:
        """The alarm, unless it has moved on meanwhile."""
        now = monotonic()
        self._timer = None
        self._alarm_at = NEVER
        alarm = self.hall.alarm
        if alarm - now > EARLY_S:
            self._set_alarm()
            return
        try:
            self.hall.wake(max(now, alarm))
        except Exception as error:  # noqa: BLE001 - the border to the engine
            self._report(error)
            self._set_alarm(now + RETRY_S)
        else:
            self._tidy()

    def _write(self) -> None:
        """The kernel takes more."""
        while self._queue:
            path, datagrams = self._queue.popleft()
            self._queued_bytes -= sum(map(len, datagrams))
            if rest := datagrams[self._put(path, datagrams) :]:
                self._queue.appendleft((path, rest))
                self._queued_bytes += sum(map(len, rest))
                return
        self._loop.remove_writer(self._sock.fileno())

    def _flush_soon(self) -> None:
        self._flush_due = False
        if self._sock.fileno() >= 0:  # not closed meanwhile
            self._flush()

    # --- called by the mailbox's reader --------------------------------------------------------

    def feed_relayed(self, path: Path, datagrams: list[bytes]) -> None:
        """Feed what another worker has read."""
        now = monotonic()
        self._feeding = self._relayed = True
        try:
            for datagram in datagrams:
                self._feed(path, datagram, now)
        finally:
            self._feeding = self._relayed = False
        self._flush()

    # --- called by the hall (engine.datagrams.DatagramWire) ------------------------------------

    def send(self, path: Path, datagrams: Sequence[bytes]) -> None:
        """Send them; in bounds those wait that the kernel does not take now."""
        if not self._queue:
            datagrams = datagrams[self._put(path, datagrams) :]
            if not datagrams:
                return
            self._loop.add_writer(self._sock.fileno(), self._write)
        size = sum(map(len, datagrams))
        if self._queued_bytes + size <= QUEUE_BYTES or not self._queue:
            self._queue.append((path, datagrams))
            self._queued_bytes += size

    def relay(self, seat: int, path: Path, datagram: bytes) -> None:
        """Hand a datagram to the worker of a seat, unless it has been handed here."""
        if not self._relayed:
            self._mailbox.put(seat, (self.name, path), datagram)

    def soon(self) -> None:
        """Have the hall flushed."""
        if not self._feeding and not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush_soon)

    def has_room(self) -> bool:
        """Whether one more connection may be taken."""
        return self._links.has_room()

    def opened(self, connection: LinkedConnection) -> None:
        """A connection has begun."""
        self._links.add(connection)

    def closed(self, connection: LinkedConnection) -> None:
        """A connection is no more."""
        self._links.discard(connection)

    def failed(self, peer: Peer, reason: str) -> None:
        """A handshake has come to nothing."""
        self._links.failed(peer, reason)

    # --- inside --------------------------------------------------------------------------------

    def _feed(self, path: Path, datagram: bytes, now: float) -> None:
        try:
            self.hall.feed(path, datagram, now)
        except Exception as error:  # noqa: BLE001 - the border to the engine: others go on
            self._report(error)

    def _flush(self) -> None:
        try:
            self.hall.flush(monotonic())
        except Exception as error:  # noqa: BLE001 - the border to the engine
            self._report(error)
        self._tidy()

    def _tidy(self) -> None:
        """After each call of the hall: what it has left to be done."""
        self._mailbox.flush()
        if self.hall.alarm < self._alarm_at:
            self._set_alarm()

    def _set_alarm(self, not_before: float = 0.0) -> None:
        """Have `_ring` called in time. A later alarm is found out then: most move on and on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._alarm_at = max(self.hall.alarm, not_before)
        if self._alarm_at < NEVER:
            delay_s = max(self._alarm_at - monotonic(), 0.0)
            self._timer = self._loop.call_later(delay_s, self._ring)

    def _put(self, path: Path, datagrams: Sequence[bytes]) -> int:
        """Give them to the kernel; how many are done with: taken, or refused for good."""
        controls = source(self._sock.family, path.local) if path.local else []
        at, count = 0, len(datagrams)
        while at < count:
            end = run_end(datagrams, at) if self._joins else at + 1
            joined = [segments(len(datagrams[at]))] if end - at > 1 else []
            try:
                self._sock.sendmsg(datagrams[at:end], controls + joined, 0, path.peer)
            except BlockingIOError:
                return at
            except OSError as error:
                # No fault of ours: no route, no buffers, a firewall, a datagram that is too large.
                if joined and error.errno in _CANNOT_PART:
                    self._put_apart(path, controls, datagrams[at:end])
            at = end
        return count

    def _put_apart(self, path: Path, controls: Any, datagrams: Sequence[bytes]) -> None:
        """Send those one by one that were refused in one piece.

        If that goes, the kernel or the device cannot do it at once, and is not asked again. If it
        does not, the peer's address is to blame.
        """
        for datagram in datagrams:
            try:
                self._sock.sendmsg([datagram], controls, 0, path.peer)
            except OSError:
                return
            self._joins = False

    def _leave(self) -> None:
        if self._reading:
            self._reading = False
            for sock in self._socks:
                self._loop.remove_reader(sock.fileno())

    def _report(self, error: Exception) -> None:
        """A fault of ours: told, and passed over. The hall ends the connection that it concerns."""
        self._loop.call_exception_handler(
            {"message": "datagrams could not be dealt with", "exception": error}
        )
