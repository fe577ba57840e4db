"""The access log as records of Python's logging: where a `log.config` takes it over.

Imported only there. A record of the logger `granian.access` has the format as its message and the
atoms as its arguments, a mapping, as Granian's: a Formatter may read `record.args["status"]`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from granian_d.observe import log_config
from granian_d.observe.access_log import ATOMS, atoms_of, getter_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from granian_d.http.exchange import Exchange
    from granian_d.observe.log import LogFile

# Costs something, or stands for many: these are arguments where the format names them.
_NAMED_ONLY: Final = ("request_id", "header{NAME}")


class AccessRecords:
    """An access log that makes records: see `access_log.AccessLog`, whose place it takes.

    Args:
        fmt: the message.
        file: a line goes there whose record a handler does not take.
        later: has something called at the end of the turn.
        who: what the process is: worker, generation.
    """

    __slots__ = ("_file", "_fmt", "_getters", "_later", "_logger", "_waiting", "wants_ids")

    def __init__(
        self,
        fmt: str,
        file: LogFile,
        later: Callable[[Callable[[], None]], object],
        who: Mapping[str, int],
    ) -> None:
        named = atoms_of(fmt)
        always = [atom for atom in ATOMS if atom not in _NAMED_ONLY]
        self._getters = {atom: getter_of(atom, who) for atom in (*always, *named)}
        self._fmt = fmt
        self._file = file
        self._later = later
        self._logger = logging.getLogger(log_config.ACCESS)
        self._waiting: list[dict[str, Any]] = []
        self.wants_ids = "request_id" in named

    def write(self, exchange: Exchange) -> None:
        """Make the record of one exchange at the end of this turn, after the response."""
        if not self._logger.isEnabledFor(logging.INFO):
            return
        self._waiting.append({atom: get(exchange) for atom, get in self._getters.items()})
        if len(self._waiting) == 1:
            self._later(self.flush)

    def flush(self) -> None:
        """Hand over what has come together."""
        waiting, self._waiting = self._waiting, []
        for atoms in waiting:
            if not log_config.hand_over(self._logger, logging.INFO, self._fmt, atoms):
                self._file.write(f"{self._fmt % atoms}\n".encode())
