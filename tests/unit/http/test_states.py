"""The table of a response's life against an endpoint: every state with every move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from granian_d.errors import Disconnected, FlowError
from granian_d.http import states
from tests.wire.harness import ENGINES, Line, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.http.exchange import Exchange

MOVES: dict[str, Callable[[Exchange], Any]] = {
    "inform": lambda exchange: exchange.inform(103, []),
    "start": lambda exchange: exchange.start(200, []),
    "send": lambda exchange: exchange.send(b"x"),
    "finish": lambda exchange: exchange.finish(),
    "abort": lambda exchange: exchange.abort(),
}
OF_TUNNELS = {"tunnel", "close"}
WAY = {
    states.AWAITED: [],
    states.STARTED: ["start"],
    states.FINISHED: ["start", "finish"],
    states.ABORTED: ["abort"],
}


def test_the_table_is_closed() -> None:
    assert set(states.NEXT) == set(states.NAMES)
    for row in states.NEXT.values():
        assert set(row) <= {*MOVES, *OF_TUNNELS}
        assert set(row.values()) <= set(states.NAMES)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("state", WAY, ids=states.NAMES.__getitem__)
def test_every_move_in_every_state(engine: str, state: int, move: str) -> None:
    exchanges: list[Exchange] = []

    def held(exchange: Exchange) -> Any:
        exchanges.append(exchange)
        yield lambda _wake: None

    line = Line(ENGINES[engine], held)
    line.feed(request())
    exchange = exchanges[0]
    for step in WAY[state]:
        MOVES[step](exchange)
    assert exchange.state == state
    following = states.NEXT[state].get(move)
    if following is not None:
        MOVES[move](exchange)
        assert exchange.state == following
    else:
        # An exchange that was cut is not the application's fault any more.
        with pytest.raises(Disconnected if state == states.ABORTED else FlowError):
            MOVES[move](exchange)
        assert exchange.state == state
    assert len(line.record.over) == (exchange.state in (states.FINISHED, states.ABORTED))
