"""All cases, in the order of the public list."""

from __future__ import annotations

from tests.conformance.h2 import (
    cases_control,
    cases_frames,
    cases_generic,
    cases_hpack,
    cases_messages,
    cases_streams,
    cases_windows,
)

_GROUPS = ("generic", "http2", "hpack")


def _order(name: str) -> tuple[int, list[int], int]:
    group, section, number = name.split("/")
    return _GROUPS.index(group), [int(part) for part in section.split(".")], int(number)


CASES = sorted(
    (
        *cases_generic.TABLE,
        *cases_frames.TABLE,
        *cases_control.TABLE,
        *cases_streams.TABLE,
        *cases_windows.TABLE,
        *cases_messages.TABLE,
        *cases_hpack.TABLE,
    ),
    key=lambda case: _order(case.id),
)
