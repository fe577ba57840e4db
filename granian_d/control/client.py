"""The asking end of the control wire: blocking, with a limit of time. For `granianctl`."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.control import wire
from granian_d.errors import ControlTimeout, DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

# Descriptors in one message: the master sends one with each Document, the kernel does not join two.
_FDS_AT_ONCE: Final = 4
_PART_BYTES: Final = 1 << 16


class Told(NamedTuple):
    """An answer; `text` is what a Document holds."""

    answer: wire.Answer
    text: str


def ask(path: str, request: wire.Request, timeout_s: float | None) -> Iterator[Told]:
    """Ask the daemon that listens at `path`; the last answer is a Done.

    Args:
        path: of its control socket.
        request: what is asked.
        timeout_s: for all of it; None: as long as it takes.

    Raises:
        DaemonUnreachable: nobody listens there, he went away, or speaks something else.
        ControlTimeout: the time is over.
    """
    until = None if timeout_s is None else time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.settimeout(_left(until))
            sock.connect(path)
            _send(sock, wire.encode(request))
            yield from _answers(sock, until)
        except TimeoutError:
            raise ControlTimeout(f"{path}: no answer within {timeout_s:g} s") from None
        except wire.Misunderstood as error:
            raise DaemonUnreachable(f"{path}: cannot be understood: {error}") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise DaemonUnreachable(f"{path}: no daemon answers: {reason}") from error


def _send(sock: socket.socket, line: bytes) -> None:
    try:
        sock.sendall(line)
    except BrokenPipeError:
        return  # it has refused us before it read; what it says is still to be read


def _left(until: float | None) -> float | None:
    """Seconds that are left; raises TimeoutError when there are none."""
    if until is None:
        return None
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _answers(sock: socket.socket, until: float | None) -> Iterator[Told]:
    fds: list[int] = []
    buffer = bytearray()
    try:
        while True:
            line = _line(sock, buffer, fds, until)
            answer = wire.decode_answer(line)
            text = ""
            if isinstance(answer, wire.Document):
                if not fds:
                    raise wire.Misunderstood("a document came without its text")
                text = wire.read_document(fds.pop(0))
            yield Told(answer, text)
            if isinstance(answer, wire.Done):
                return
    finally:
        for fd in fds:
            os.close(fd)


def _line(sock: socket.socket, buffer: bytearray, fds: list[int], until: float | None) -> bytes:
    """The next line; descriptors that came with it or before it are added to `fds`."""
    while (end := buffer.find(b"\n")) < 0:
        if len(buffer) > wire.ANSWER_BYTES:
            raise wire.Misunderstood("a line is too long")
        sock.settimeout(_left(until))
        part, more, _, _ = socket.recv_fds(sock, _PART_BYTES, _FDS_AT_ONCE)
        for fd in more:
            os.set_inheritable(fd, False)  # recv_fds passes no MSG_CMSG_CLOEXEC on
        fds += more
        if not part:
            raise ConnectionResetError(0, "it went away before it had answered")
        buffer += part
    line = bytes(buffer[:end])
    del buffer[: end + 1]
    return line
