"""The wire between `granianctl` and the master: typed records, one JSON object a line.

A connection carries one request and its answers, the last of which is `Done`. The two ends may be
of different releases, so a request names the version of this wire. What has no bound (a report,
stacks) is not in a line but in a sealed file in memory that rides along (SCM_RIGHTS): the master
neither holds nor waits for anything long.
"""

from __future__ import annotations

import fcntl
import json
import os
import typing
from typing import Any, Final, NamedTuple

from granian_d.control.channel import SEALS

SOCKET_NAME: Final = "control.sock"  # in $RUNTIME_DIRECTORY, unless somebody wants another
VERSION: Final = 1
REQUEST_BYTES: Final = 4096
ANSWER_BYTES: Final = 1 << 17  # a sentence may hold a traceback
DOCUMENT_BYTES: Final = 1 << 24


# --- requests ----------------------------------------------------------------------------------


class Status(NamedTuple):
    """How is the service? Answered by a Document: JSON, see docs/control.md."""


class Reload(NamedTuple):
    """Begin a reload; with `wait` be told how it goes, and how it ended."""

    wait: bool


class Scale(NamedTuple):
    """Have that many workers, until the next reload."""

    workers: int


class Upgrade(NamedTuple):
    """Become the granian-d that is installed now; `wait` as of Reload."""

    wait: bool


class Stop(NamedTuple):
    """Finish what is under way and end."""


class Quit(NamedTuple):
    """End at once."""


class Stacks(NamedTuple):
    """What is a worker doing? Answered by a Document for each that answers."""

    slot: int  # 0: all of them


class Pin(NamedTuple):
    """Have all processes import what they would import later. Answered as Stacks is."""


Request = Status | Reload | Scale | Upgrade | Stop | Quit | Stacks | Pin

# --- answers -----------------------------------------------------------------------------------


class Phase(NamedTuple):
    """To who waits: something was logged."""

    event: str  # a name of observe.events
    level: str
    sentence: str


class Document(NamedTuple):
    """A sealed file in memory rides along, with text in UTF-8."""

    title: str


class Done(NamedTuple):
    """The last answer: the exit status for who asked, and why, unless it is 0."""

    exit_code: int
    reason: str


Answer = Phase | Document | Done

REQUESTS: Final[dict[str, Any]] = {kind.__name__: kind for kind in typing.get_args(Request)}
ANSWERS: Final[dict[str, Any]] = {kind.__name__: kind for kind in typing.get_args(Answer)}


class Misunderstood(ValueError):
    """A line that is no record of this wire. The message says why, in a few words."""


def encode(record: Request | Answer) -> bytes:
    """A record as a line, its end included."""
    fields = {"v": VERSION, "kind": type(record).__name__.lower(), **record._asdict()}
    text = json.dumps(fields, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def encode_answer(answer: Answer) -> bytes:
    """The same, within ANSWER_BYTES: of a text that is too long its end is kept."""
    line = encode(answer)
    if len(line) <= ANSWER_BYTES or not isinstance(answer, Phase | Done):
        return line
    kept = ANSWER_BYTES // 8  # characters; JSON makes at most 6 octets of one
    if isinstance(answer, Phase):
        return encode(answer._replace(sentence=answer.sentence[-kept:]))
    return encode(answer._replace(reason=answer.reason[-kept:]))


def decode_request(line: bytes) -> Request:
    """The request in a line.

    Raises:
        Misunderstood: there is none in it, or it is of another version.
    """
    request: Request = _decode(line, REQUESTS)
    return request


def decode_answer(line: bytes) -> Answer:
    """The answer in a line.

    Raises:
        Misunderstood: as of decode_request.
    """
    answer: Answer = _decode(line, ANSWERS)
    return answer


def _decode(line: bytes, kinds: dict[str, Any]) -> Any:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise Misunderstood("it is no JSON") from None
    if not isinstance(fields, dict):
        raise Misunderstood("it is no JSON object")
    version, name = fields.pop("v", None), fields.pop("kind", None)
    if version != VERSION or type(version) is not int:
        raise Misunderstood(f"it is not of version {VERSION} of the control wire")
    kind = kinds.get(name.title()) if isinstance(name, str) and name.islower() else None
    if kind is None:
        raise Misunderstood("nothing of that kind is known")
    wanted = typing.get_type_hints(kind)
    if fields.keys() != wanted.keys():
        raise Misunderstood(f"{name} has other fields")
    for field, hint in wanted.items():
        if type(fields[field]) is not hint:
            raise Misunderstood(f"{name}: {field} is no {hint.__name__}")
    return kind(**fields)


def is_sealed(fd: int) -> bool:
    """A descriptor is a file in memory that nobody can change or cut any more.

    Anything else might hold up who reads it, or change under his eyes.
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SEALS == SEALS
    except OSError:
        return False  # it is no file in memory


def read_document(fd: int) -> str:
    """The text in a Document's file; closes it.

    Raises:
        Misunderstood: it is not sealed, or too long.
    """
    with os.fdopen(fd, "rb") as file:
        if not is_sealed(fd):
            raise Misunderstood("a document is not sealed")
        if os.fstat(fd).st_size > DOCUMENT_BYTES:
            raise Misunderstood("a document is too long")
        file.seek(0)
        return file.read().decode("utf-8", "replace")
