"""What a case is, and how one is judged."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from tests.conformance.h2.client import Connection
from tests.conformance.h2.wire import Failed, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.h2.client import Target

    Play = Callable[[Connection], None]


@dataclass(frozen=True)
class Case:
    """One case.

    Args:
        id: as in the public list, "http2/5.1/3": group, section of RFC 7540 or 7541, number.
        section: where the rule stands today, "9113 5.1".
        title: one line.
        play: sends, and expects; raises Failed or Skipped.
        handshake: prefaces are exchanged before.
        since_9113: what RFC 9113 accepts and RFC 7540 did not; empty where they agree.
    """

    id: str
    section: str
    title: str
    play: Play
    handshake: bool = True
    since_9113: str = ""


class Table(list[Case]):
    """The cases of a module. A case is a function; its docstring is the title."""

    def case(self, name: str, section: str, *, handshake: bool = True, since_9113: str = ""):
        """A decorator that adds a function as a case."""

        def add(play: Play) -> Play:
            title = (play.__doc__ or "").strip()
            self.append(Case(name, section, title, play, handshake, since_9113))
            return play

        return add


class Verdict(Enum):
    OK = "ok"
    OK_BY_9113 = "ok by RFC 9113"
    SKIPPED = "skipped"
    FAILED = "FAILED"


class Result(NamedTuple):
    """What became of a case; `detail` is the reason where there is one."""

    case: Case
    verdict: Verdict
    detail: str
    seconds: float


def run(case: Case, target: Target) -> Result:
    """Play a case on a connection of its own."""
    start = time.monotonic()
    verdict, detail = _judge(case, target)
    return Result(case, verdict, detail, time.monotonic() - start)


def _judge(case: Case, target: Target) -> tuple[Verdict, str]:
    try:
        with Connection(target) as connection:
            if case.handshake:
                connection.handshake()
            case.play(connection)
    except Skipped as reason:
        return Verdict.SKIPPED, str(reason)
    except Failed as failure:
        return Verdict.FAILED, str(failure)
    except OSError as error:
        return Verdict.FAILED, f"expected a connection; saw {error}"
    if connection.by_rfc9113:
        return Verdict.OK_BY_9113, ", ".join(connection.by_rfc9113)
    return Verdict.OK, ""
