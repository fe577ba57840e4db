"""The wire between the master and one child, most often a worker: typed messages.

It is a socket pair: SOCK_SEQPACKET keeps message boundaries and tells of the other end's death by
an empty message.
Every message is a NamedTuple and travels as one JSON object; descriptors ride along (SCM_RIGHTS).
Neither end ever waits: the master must not hang on a worker that does not read.

After an upgrade in place the two ends may be of different releases. So a kind that this release
does not know is passed over, a field that it does not know is ignored, and one that is missing
takes its default: a field that is added to a message needs one, and no field changes its type.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import typing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from granian_d.plan import ListenerPlan


class Born(NamedTuple):
    """Worker: a mold has forked it; its first word, by which the master learns who it is."""

    pid: int


class Ready(NamedTuple):
    """Worker: the application runs and accept is armed."""


class Molded(NamedTuple):
    """Mold: it holds the application and waits for orders to fork. It may have been a worker."""


class Leaving(NamedTuple):
    """Worker: somebody told it to go (SIGTERM); it serves until the master drains it."""


class Closed(NamedTuple):
    """Worker: it accepts no more; what comes from now on meets somebody else."""


class Failed(NamedTuple):
    """Worker, mold or watcher: it cannot start; it exits after this message."""

    reason: str
    exit_code: int


class Dumped(NamedTuple):
    """Worker or mold: the text that was asked for, in a file in memory that rides along."""

    ticket: int


class Watching(NamedTuple):
    """Watcher: from now on it tells of changes."""


class Changed(NamedTuple):
    """Watcher: files have changed."""

    files: str  # in words


class Drain(NamedTuple):
    """Master: accept no more, finish what is under way, exit. May come twice; the last counts."""

    budget_s: float  # from now to the end of the last request
    idle_s: float | None  # how long an idle connection may wait for a request; None: as always
    restarting: bool  # another worker takes over: peers that are sent away may come back at once
    stream_s: float  # from now to the end of begun answers and WebSockets
    heir: bool = False  # do not exit in the end, become a mold


class Fork(NamedTuple):
    """Master, to a mold: fork a worker.

    Its end of a channel of its own rides along, and then its listening sockets: as many, and in the
    same order, as those of the mold's own Post. With a seat, so do the sockets of its berth, as
    many as those of the mold's, and its mailbox.
    """

    worker: int
    slot: int
    row: int
    seat: int = -1  # of datagrams; -1: it reads none


class Dump(NamedTuple):
    """Master: say what every task and thread is doing."""

    ticket: int


class Pin(NamedTuple):
    """Master: import now what you would import later; answered as Dump is."""

    ticket: int


class Reopen(NamedTuple):
    """Master: a log file has been opened anew; its descriptor rides along."""

    path: str


class Trim(NamedTuple):
    """Master: memory is short, give back what is not needed."""


class Renew(NamedTuple):
    """Master: certificates or ticket keys are new; a file in memory that holds them rides along."""


Message = (
    Born
    | Ready
    | Molded
    | Leaving
    | Closed
    | Failed
    | Dumped
    | Watching
    | Changed
    | Drain
    | Fork
    | Dump
    | Pin
    | Reopen
    | Trim
    | Renew
)
KINDS: Final[Any] = {kind.__name__: kind for kind in typing.get_args(Message)}
# The types that each field may have. Found out once: to evaluate annotations takes memory.
_TYPES: Final = {
    kind: {name: typing.get_args(wanted) or (wanted,) for name, wanted in hints.items()}
    for kind, hints in ((kind, typing.get_type_hints(kind)) for kind in KINDS.values())
}
_WITH_DESCRIPTORS: Final = (Dumped, Fork, Reopen, Renew)

# At it a worker writes its threads' stacks to standard error, even if its loop stands still.
# Neither the C library nor an application is likely to want this one for itself.
DUMP_SIGNAL: Final = signal.SIGRTMAX - 1

# A reason may hold a traceback; a datagram must fit the socket's buffer (212992 bytes by default).
MESSAGE_BYTES: Final = 1 << 17
MESSAGE_FDS: Final = 4
ORDER_FDS: Final = 253  # SCM_MAX_FD of unix(7): a worker's channel and all of its sockets
UNKNOWN_A_TURN: Final = 16  # messages of unknown kinds passed over at once
SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class _Unknown(NamedTuple):
    """A message of a kind that only another release knows."""


class Gone(Exception):
    """The process at the other end has closed it, most likely by dying."""


class Channel:
    """One end of the wire."""

    __slots__ = ("_socket",)

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two connected ends."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._socket.fileno()

    def send(self, message: Message, fds: Sequence[int] = ()) -> bool:
        """Send one message. False when the other end is gone or does not read its messages."""
        record = {"kind": type(message).__name__, **message._asdict()}
        data = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace")
        if len(data) > MESSAGE_BYTES:
            return False  # the other end could not read it
        try:
            socket.send_fds(self._socket, [data], list(fds))
        except OSError:
            return False
        return True

    def answer(self, ticket: int, text: str) -> None:
        """Send the text that a Dump or a Pin asked for; nobody waits where it has no place."""
        try:
            fd = sealed_memory(text.encode("utf-8", "backslashreplace"))
        except OSError:
            return
        self.send(Dumped(ticket), [fd])
        os.close(fd)

    def receive(self, most_fds: int = MESSAGE_FDS) -> tuple[Message, list[int]] | None:
        """The next message and its descriptors, None when there is none at the moment.

        Args:
            most_fds: that may ride along; the kernel closes others.

        Raises:
            Gone: the other end is closed and everything it sent has been read, or it sends what
                is no message: an application may have got hold of it.
        """
        for _ in range(UNKNOWN_A_TURN):
            message, fds = self._receive(most_fds)
            if not isinstance(message, _WITH_DESCRIPTORS):
                _close_all(fds)  # nobody asked for them
                fds = []
            if not isinstance(message, _Unknown):
                return None if message is None else (message, fds)
        return None  # the selector tells that there is more

    def _receive(self, most_fds: int) -> tuple[Message | _Unknown | None, list[int]]:
        try:
            data, fds, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, most_fds)
        except BlockingIOError:
            return None, []
        except ConnectionResetError as error:
            raise Gone from error
        for fd in fds:
            os.set_inheritable(fd, False)  # recv_fds passes no MSG_CMSG_CLOEXEC on
        try:
            return _parse(data), fds
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _close_all(fds)
            raise Gone from error

    def hang_up(self) -> None:
        """End the wire for all who hold an end: what has arrived can still be received."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other end has gone before

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _parse(data: bytes) -> Message | _Unknown:
    """The message in a datagram; none at all is the end of the stream (and no JSON).

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is no message, of whatever release.
    """
    record = json.loads(data)
    name = record.pop("kind")
    if name.isidentifier() and name not in KINDS:
        return _Unknown()
    kind = KINDS[name]
    message: Message = kind(**{field: record[field] for field in kind._fields if field in record})
    for name, allowed in _TYPES[kind].items():
        value = getattr(message, name)
        if type(value) not in allowed and not (type(value) is int and float in allowed):
            raise TypeError(name)
    return message


def sealed_memory(octets: bytes) -> int:
    """A descriptor of a file in memory, for what is too much for a message. It can only be read.

    Raises:
        OSError: the kernel gives none.
    """
    fd = os.memfd_create("granian-d", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(octets)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd


class Berth(NamedTuple):
    """Where a worker reads datagrams.

    Attributes:
        seat: its number (transport.steering), which no other worker that lives has.
        key: the daemon's QUIC key, of 32 octets. A secret.
        sockets: UDP sockets, bound and non-blocking, one for each address, with the plans of their
            listeners; True: all workers read this one.
        mailbox: a unix socket, bound, non-blocking: what others have read, and is for this worker.
    """

    seat: int
    key: bytes
    sockets: tuple[tuple[ListenerPlan, socket.socket, bool], ...]
    mailbox: socket.socket

    def close(self) -> None:
        """Let go of the sockets."""
        for _, sock, _ in self.sockets:
            sock.close()
        self.mailbox.close()

    def __repr__(self) -> str:
        return f"Berth(seat={self.seat})"  # without the key


class Post(NamedTuple):
    """What the master hands to a new worker, besides the plan.

    Attributes:
        worker: its number, unique for the life of the master.
        slot: its place among its generation, from 1.
        generation: which generation it belongs to.
        row: its row of the scoreboard.
        master_pid: whose child it is.
        channel: its end of the wire to the master.
        listeners: the sockets to accept from, listening and non-blocking, with their plans.
        contexts: of OpenSSL, for those that are secured; transport is a neighbour, so it is
            not named here. None without TLS.
        berth: where datagrams are read; None without HTTP/3.
    """

    worker: int
    slot: int
    generation: int
    row: int
    master_pid: int
    channel: Channel
    listeners: tuple[tuple[ListenerPlan, socket.socket], ...]
    contexts: Any
    berth: Berth | None = None
