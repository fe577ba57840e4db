"""Judges what was seen in a case, by the suite's rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.websocket.case import Case, Closing, Event


class Verdict(StrEnum):
    """Of the behaviour or, the last three and OK and FAILED, of the closing."""

    OK = "OK"
    INFORMATIONAL = "INFORMATIONAL"
    NON_STRICT = "NON-STRICT"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    FAILED = "FAILED"
    WRONG_CODE = "WRONG CODE"
    UNCLEAN = "UNCLEAN"
    FAILED_BY_CLIENT = "FAILED BY CLIENT"


PASSING = {Verdict.OK, Verdict.INFORMATIONAL}


@dataclass
class Record:
    """What was seen in one case.

    Attributes:
        events: in order.
        opened: the opening handshake was completed.
        declined: the server took none of the offered extensions.
        fault: what the server has done that no server may do; empty if nothing.
        closed_by_us: the first Close frame was ours.
        answered: both sides have sent a Close frame.
        code: that of the server's Close frame, None without one.
        dropped_by_us: the server did not end the TCP connection, so we had to.
    """

    events: list[Event] = field(default_factory=list)
    opened: bool = False
    declined: bool = False
    fault: str = ""
    closed_by_us: bool = False
    answered: bool = False
    code: int | None = None
    dropped_by_us: bool = False


@dataclass(frozen=True)
class Report:
    """The outcome of a case: a verdict for what the server did, and one for how it ended."""

    id: str
    behaviour: Verdict
    closing: Verdict
    detail: str = ""

    @property
    def passed(self) -> bool:
        return {self.behaviour, self.closing} <= PASSING

    def __str__(self) -> str:
        return f"{self.id}: {self.behaviour}, closing {self.closing}. {self.detail}"


def judge(case: Case, seen: Record) -> Report:
    """The verdicts on what was seen, with the reasons of those that are not OK."""
    if seen.fault:
        return Report(case.id, Verdict.FAILED, Verdict.FAILED, f"The server: {seen.fault}")
    closing, end = _closing(case.closing, seen)
    if case.informational:
        # The suite takes anything here. A server that leaves its peer hanging is not taken by us.
        verdict = Verdict.FAILED if seen.dropped_by_us else Verdict.INFORMATIONAL
        return Report(case.id, verdict, verdict, end)
    behaviour, story = _behaviour(case, seen)
    wrong_code = case.closing.code_counts and closing is Verdict.WRONG_CODE
    wrong_end = case.closing.fatal and case.closing.by_us != seen.closed_by_us
    if wrong_code or wrong_end:
        behaviour = Verdict.FAILED
    return Report(case.id, behaviour, closing, " ".join(filter(None, (story, end))))


def _behaviour(case: Case, seen: Record) -> tuple[Verdict, str]:
    if seen.declined:
        return Verdict.UNIMPLEMENTED, "The extension was not accepted."
    got = tuple(seen.events)
    if got == case.events:
        return Verdict.OK, ""
    story = f"Expected {_list(case.events)}, got {_list(got)}."
    if case.non_strict is not None and got == case.non_strict:
        return Verdict.NON_STRICT, story
    return Verdict.FAILED, story


def _list(events: tuple[Event, ...]) -> str:
    return ", ".join(map(str, events)) or "nothing"


def _closing(wanted: Closing, seen: Record) -> tuple[Verdict, str]:
    if wanted.by_us != seen.closed_by_us:
        wrong = "the server did not fail it" if seen.closed_by_us else "the server closed first"
        code = "" if seen.code is None else f", with {seen.code}"
        return Verdict.FAILED, f"Closed by the wrong side: {wrong}{code}."
    if wanted.clean and not (seen.answered and not seen.dropped_by_us):
        missing = "was not dropped by the server" if seen.answered else "ended without its Close"
        return Verdict.UNCLEAN, f"The connection {missing}."
    if seen.code is not None and seen.code not in wanted.codes:
        return Verdict.WRONG_CODE, f"Closed with {seen.code} instead of one of {wanted.codes}."
    if seen.dropped_by_us:
        return Verdict.FAILED_BY_CLIENT, "The server did not drop the connection."
    return Verdict.OK, ""
