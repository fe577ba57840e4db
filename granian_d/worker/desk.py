"""What a worker or a mold writes on, and one word that it reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from granian_d.observe.access_entries import AccessEntries
    from granian_d.observe.access_log import AccessLog
    from granian_d.observe.access_records import AccessRecords
    from granian_d.observe.log import Log, LogFile
    from granian_d.observe.scoreboard import Row

    RequestLog = AccessLog | AccessEntries | AccessRecords


class Desk(NamedTuple):
    """What a worker or a mold writes on, and one word that it reads.

    Attributes:
        row: of the scoreboard; that of a mold is empty.
        log: its own records.
        access_file: where those of requests go.
        health: one word, how the service is (scoreboard.HEALTHS).
        access_log: makes the log of requests, of the loop's call_soon; None where there is none.
        adopt: has handlers of Python's logging write to what has been opened anew
            (observe.log_config); None where these are not ours.
    """

    row: Row
    log: Log
    access_file: LogFile
    health: Row
    access_log: Callable[[Callable[..., object]], RequestLog] | None = None
    adopt: Callable[[str, int], None] | None = None

    def reopen(self, path: str, fds: Sequence[int]) -> None:
        """The log file at `path` has been opened anew, as one of `fds`."""
        files = {file.path: file for file in (self.log.file, self.access_file)}
        for fd in fds:
            if path in files:
                files[path].adopt(fd)
            elif self.adopt is not None:
                self.adopt(path, fd)
            else:
                os.close(fd)
