"""Exchange.send_file: whoever gave the file away hears of it once, whatever becomes of the answer."""

from __future__ import annotations

import pytest

from granian_d.errors import FlowError
from granian_d.http import states
from granian_d.http.exchange import FILE_PART_BYTES, Exchange, Observer
from granian_d.http.message import Peer


class Narrow(Exchange):
    """Has room for one part at a time; remembers them."""

    def __init__(self) -> None:
        super().__init__(None, Peer(None, ("/s", None)), Observer())
        self.sent: list[bytes] = []

    def start(self, status, fields) -> None:
        self._advance("start")

    def send(self, data, last=False) -> bool:
        self._advance("finish" if last else "send")
        self.sent.append(data)
        return False

    def finish(self, trailers=()) -> None:
        self._advance("finish")

    def abort(self) -> None:
        self._advance("abort")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * (3 * FILE_PART_BYTES))
    with path.open("rb") as opened:
        yield opened.fileno()


def test_parts_follow_when_there_is_room(file) -> None:
    exchange, ends = Narrow(), []
    exchange.start(200, [])
    exchange.send_file(file, 0, 3 * FILE_PART_BYTES, ends.append)
    exchange.feed_room()
    assert (len(exchange.sent), ends) == (2, [])
    exchange.feed_room()
    assert (len(exchange.sent), ends) == (3, [True])


@pytest.mark.parametrize("ending", ["finish", "abort"])
def test_an_answer_that_somebody_else_has_ended_meanwhile(file, ending) -> None:
    exchange, ends = Narrow(), []
    exchange.start(200, [])
    exchange.send_file(file, 0, 3 * FILE_PART_BYTES, ends.append)
    getattr(exchange, ending)()
    exchange.feed_room()
    exchange.feed_room()
    assert ends == [False]
    assert len(exchange.sent) == 1


def test_a_file_before_the_head_is_the_callers_fault(file) -> None:
    exchange, ends = Narrow(), []
    with pytest.raises(FlowError):
        exchange.send_file(file, 0, FILE_PART_BYTES, ends.append)
    assert (exchange.state, ends) == (states.AWAITED, [])
