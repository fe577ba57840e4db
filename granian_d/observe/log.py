"""The daemon's own log: one event, one record, one write.

Formats of one record: text for people (a terminal, a file), fields for the journal (`entries`) or,
where it does not take them, text behind a `<N>` priority (sd-daemon(3)), JSON for machines. Written
with one write(2), so that lines of several processes do not mix; application loggers are the
application's business and not touched.
"""

from __future__ import annotations

import errno
import json
import os
import select
import stat
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from granian_d.observe.events import EVENTS, LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from granian_d.observe.events import Level
    from granian_d.plan import LogPlan

    Send = Callable[[Mapping[str, str]], bool]
    Put = Callable[[str, Level, str, Mapping[str, Any]], bool]

STDERR: Final = 2


class LogFile:
    """Where records go: a descriptor, and the path to open again when it was rotated away."""

    __slots__ = ("_poll", "fd", "lost", "path")

    def __init__(self, path: str, fallback_fd: int) -> None:
        self.path = path
        self.fd = fallback_fd
        self.lost = 0  # lines since the last one that was written
        self._poll = None if path else _poll_of(fallback_fd)
        if path:
            self.reopen()

    def reopen(self) -> int:
        """Open the path anew (log rotation); the descriptor. Keeps the old file if that fails.

        Raises:
            OSError: the path cannot be opened.
        """
        if not self.path:
            return self.fd
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fresh = os.open(self.path, flags | os.O_NONBLOCK, 0o640)
        if not stat.S_ISREG(os.fstat(fresh).st_mode):
            os.close(fresh)
            raise OSError(errno.EINVAL, "it is not a regular file")  # a FIFO would hold us up
        self.adopt(fresh)
        return self.fd

    def adopt(self, fd: int) -> None:
        """Write to `fd` from now on; the number the file is known by stays the same."""
        if self.fd > STDERR:
            os.dup2(fd, self.fd, inheritable=False)
            os.close(fd)
        else:
            self.fd = fd

    def close(self) -> None:
        """Let go of the file; standard streams stay open."""
        if self.fd > STDERR:
            os.close(self.fd)

    def write_lines(self, lines: list[bytes]) -> None:
        """Write many lines at once: all of them into a file, into a pipe what surely fits."""
        if self._poll is None:
            self.write(b"".join(lines), len(lines))
            return
        batch: list[bytes] = []
        size_bytes = 0
        for line in lines:
            if batch and size_bytes + len(line) > select.PIPE_BUF:
                self.write(b"".join(batch), len(batch))
                batch, size_bytes = [], 0
            batch.append(line)
            size_bytes += len(line)
        self.write(b"".join(batch), len(batch))

    def write(self, line: bytes, count: int = 1) -> None:
        """Write a line, or `count` of them as one.

        A full disk, a closed or a full pipe must not stop the service.
        """
        if self._poll is not None and not self._poll.poll(0):
            self.lost += count  # nobody reads it: a blocking write would hold up everybody else
            return
        if self.lost:
            line = f"granian-d: {self.lost} log lines were lost here\n".encode() + line
            self.lost = 0
        try:
            os.write(self.fd, line)
        except OSError as error:
            _report_lost_line(self.fd, error)


def _poll_of(fd: int) -> select.poll | None:
    """Something to ask whether a write to `fd` would block; None for what never does."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return None
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return None
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return poll


def _report_lost_line(fd: int, error: OSError) -> None:
    """Say it where it may still be heard; if standard error is the lost one, nobody is there."""
    if fd != STDERR:
        try:
            os.write(STDERR, f"granian-d: a log line was lost: {error}\n".encode())
        except OSError:
            return


def stderr_is_journal(environ: Mapping[str, str]) -> bool:
    """True when standard error goes to the journal (JOURNAL_STREAM, systemd.exec(5))."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(STDERR)
        return (status.st_dev, status.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False


class Log:
    """Writes events of `observe.events`.

    Args:
        plan: level, format and file.
        journal: standard error goes to the journal.
        who: fields that every record of this process carries (worker, generation).
        send: hands fields to the journal, false when it does not take them; where the journal
            reads standard error anyway.
        put: takes records in the place of all that (`log_config.put`), false when it does not.
    """

    __slots__ = ("_format", "_put", "_rank", "_who", "file")

    def __init__(
        self,
        plan: LogPlan,
        file: LogFile,
        *,
        journal: bool,
        who: Mapping[str, Any] | None = None,
        send: Send | None = None,
        put: Put | None = None,
    ) -> None:
        self.file = file
        self._rank = LEVELS[plan.level].rank if plan.enabled else sys.maxsize
        self._format = _format_of(plan, journal=journal)
        self._put = put
        if put is None and send is not None and self._format is _journal_lines:
            self._put = _way_to_the_journal(send, file)
        self._who = dict(who or {})

    def event(self, name: str, /, **fields: Any) -> None:
        """Write the event `name` of `observe.events.EVENTS`, if its level is wanted."""
        level_name, sentence = EVENTS[name]
        level = LEVELS[level_name]
        if level.rank < self._rank:
            return
        text = sentence.format(**fields)
        fields = {**self._who, **fields}
        if self._put is not None and self._put(name, level, text, fields):
            return
        record = self._format(name, level, text, fields)
        self.file.write(record.encode("utf-8", "backslashreplace"))


def _way_to_the_journal(send: Send, file: LogFile) -> Put:
    from granian_d.observe.entries import Entries, of_event  # noqa: PLC0415 - costs memory

    put = Entries(send, file).put
    return lambda *record: put(of_event(*record))


def _format_of(
    plan: LogPlan, *, journal: bool
) -> Callable[[str, Level, str, Mapping[str, Any]], str]:
    if plan.format == "json":
        return _json_line
    if plan.format == "auto" and journal and not plan.file:
        return _journal_lines
    return _text_line


def _text_line(_name: str, level: Level, text: str, _fields: Mapping[str, Any]) -> str:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return f"{stamp} [{level.name.upper()}] {text}\n"


def _journal_lines(_name: str, level: Level, text: str, _fields: Mapping[str, Any]) -> str:
    """Each line of a record needs a prefix of its own, or it is stored with the default level."""
    return "".join(f"<{level.priority}>{line}\n" for line in text.splitlines() or [""])


def _json_line(name: str, level: Level, text: str, fields: Mapping[str, Any]) -> str:
    record = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "level": level.name,
        "event": name,
        "pid": os.getpid(),
        "message": text,
        **fields,
    }
    return json.dumps(record, default=str) + "\n"
