"""Events as the journal has them: fields instead of a line.

Imported only where the journal is written to. A reader filters by these fields (`journalctl
WORKER=2`), so their names are a public face: docs/journal.md.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from granian_d.observe.events import LEVELS, MESSAGE_IDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from granian_d.observe.events import Level
    from granian_d.observe.log import LogFile

    Send = Callable[[Mapping[str, str]], bool]  # false: the journal has not taken it

MOST_CHARS: Final = 1 << 20  # of one value; an exception may print whatever it likes

# Fields whose names say enough; all others begin with GRANIAN_.
_PLAIN: Final = ("worker", "generation")

# A frame as `traceback` prints it; those of an exception group stand behind bars.
_FRAME: Final = re.compile(r'^[ |]*File "([^"\n]+)", line (\d+)(?:, in (.+))?$', re.MULTILINE)
_OURS: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
_PYTHONS: Final = os.path.dirname(os.__file__) + os.sep
_INSTALLED: Final = ("/site-packages/", "/dist-packages/")


class Entries:
    """The way into the journal, with the file that takes what the journal does not.

    Args:
        send: hands over one entry, without waiting.
        file: counts what is lost there.
    """

    __slots__ = ("_file", "_send")

    def __init__(self, send: Send, file: LogFile) -> None:
        self._send = send
        self._file = file

    def put(self, entry: Mapping[str, str]) -> bool:
        """Send an entry, and before it how many lines the file has lost. False: not taken."""
        if self._file.lost:
            priority = str(LEVELS["warning"].priority)
            text = f"{self._file.lost} log lines were lost here"
            if self._send({"MESSAGE": text, "PRIORITY": priority}):
                self._file.lost = 0
        return self._send(entry)


def of_event(name: str, level: Level, text: str, fields: Mapping[str, Any]) -> dict[str, str]:
    """The entry of an event of `observe.events`."""
    text = _bounded(text)
    entry = {"MESSAGE": text, "PRIORITY": str(level.priority), "GRANIAN_EVENT": name}
    if message_id := MESSAGE_IDS.get(name):
        entry["MESSAGE_ID"] = message_id
    for field, value in fields.items():
        if field != "traceback":  # all of it is in MESSAGE, as are further lines of others
            entry[field_name(field)] = str(value).partition("\n")[0][:MOST_CHARS]
    if 'File "' in text:
        entry.update(_place(text))
    return entry


def field_name(field: str) -> str:
    """The journal's name for a field of an event."""
    return field.upper() if field in _PLAIN else f"GRANIAN_{field.upper()}"


def _bounded(text: str) -> str:
    """The beginning and the end of what is too long."""
    if len(text) <= MOST_CHARS:
        return text
    half = MOST_CHARS // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters are left out ...\n{text[-half:]}"


def _place(text: str) -> dict[str, str]:
    """Where the application went wrong, of the traceback in `text`; where anybody did, else."""
    place: re.Match[str] | None = None
    for frame in _FRAME.finditer(text):
        if place is None or _is_applications(frame[1]) or not _is_applications(place[1]):
            place = frame
    if place is None:
        return {}
    found = {"CODE_FILE": place[1], "CODE_LINE": place[2]}
    return {**found, "CODE_FUNC": place[3]} if place[3] else found


def _is_applications(path: str) -> bool:
    """Neither ours nor Python's nor an installed package's; compiled ones have no whole path."""
    return (
        path.startswith("/")
        and not path.startswith((_OURS, _PYTHONS))
        and not any(part in path for part in _INSTALLED)
    )
