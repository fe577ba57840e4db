"""All cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.websocket import (
    cases_close,
    cases_deflate,
    cases_fragmentation,
    cases_framing,
    cases_limits,
    cases_utf8,
)
from tests.conformance.websocket.case import is_in

if TYPE_CHECKING:
    from tests.conformance.websocket.case import Case


def every(count: int) -> tuple[Case, ...]:
    """Every case, in order.

    Args:
        count: messages of each case of the heavy grids.
    """
    return (
        *cases_framing.CASES,
        *cases_fragmentation.CASES,
        *cases_utf8.CASES,
        *cases_close.CASES,
        *cases_limits.cases(count),
        *cases_deflate.cases(count),
    )


def choose(chosen: tuple[str, ...], count: int) -> tuple[Case, ...]:
    """Those that one of the names or groups means; all without any.

    Raises:
        LookupError: a name means none.
    """
    cases = every(count)
    for name in chosen:
        if not any(is_in(case, name) for case in cases):
            raise LookupError(f"no case is called {name}")
    return tuple(c for c in cases if not chosen or any(is_in(c, name) for name in chosen))
