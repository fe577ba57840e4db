"""Which stream is next: RFC 9218, the priorities that browsers send.

Rules of this file: wishes and an order; nothing is sent here. The dependencies of RFC 7540 are no
longer heard (RFC 9113 5.3.2); on HTTP/2 we say so by SETTINGS_NO_RFC7540_PRIORITIES.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from granian_d.http.fields import OWS, values

if TYPE_CHECKING:
    from granian_d.engine.pure.streams import Stream
    from granian_d.http.message import Fields

DEFAULT_URGENCY: Final = 3  # RFC 9218 4.1

_KEPT: Final = 100  # wishes for streams that were not opened yet

# Of a dictionary of structured fields (RFC 9651 3.2) the two members that mean something here. A
# member that is not well-formed is passed over: a priority is a wish, no more.
_MEMBER: Final = re.compile(rb"(u|i)(?:=([0-7]|\?[01]))?(?:;[^,]*)?")


def parse_priority(value: bytes) -> tuple[int, bool]:
    """Urgency (0 to 7) and whether it is incremental, of a `priority` field (RFC 9218 4)."""
    urgency, incremental = DEFAULT_URGENCY, False
    for member in value.split(b","):
        match = _MEMBER.fullmatch(member.strip(OWS))
        if match is None:
            continue
        name, said = match.groups()
        if name == b"u" and said is not None and said.isdigit():
            urgency = int(said)
        elif name == b"i" and said in (None, b"?0", b"?1"):
            incremental = said != b"?0"
    return urgency, incremental


def priority_of(fields: Fields) -> tuple[int, bool]:
    """What a request says of its own priority."""
    said = values(fields, b"priority")
    return parse_priority(b",".join(said)) if said else (DEFAULT_URGENCY, False)


def turn(stream: Stream) -> tuple[int, bool, int]:
    """What streams are sorted by: the first of them may send (RFC 9218 10).

    The urgent ones first. Of those that are equally urgent, the ones that are of no use before they
    are complete, one after the other as they were asked for; then the incremental ones in turn.
    """
    return stream.urgency, stream.incremental, stream.served if stream.incremental else stream.id


class Wishes:
    """What was said by PRIORITY_UPDATE of streams before they were opened (RFC 9218 7)."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said: dict[int, tuple[int, bool]] = {}

    def keep(self, stream_id: int, priority: tuple[int, bool]) -> None:
        """For when it is opened, within bounds."""
        if len(self._said) < _KEPT:
            self._said[stream_id] = priority

    def take(self, stream_id: int) -> tuple[int, bool] | None:
        """What was said of a stream that is opened now; it overrules the stream's own field."""
        said = self._said.pop(stream_id, None)
        if self._said:  # of streams that were skipped, as a rule
            self._said = {i: wish for i, wish in self._said.items() if i > stream_id}
        return said
