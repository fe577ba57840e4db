"""The last request in the scoreboard: interpreted and compiled."""

from __future__ import annotations

import importlib.util
from array import array
from pathlib import Path

import pytest

from granian_d.http.exchange import Exchange
from granian_d.http.message import Peer, RequestHead
from granian_d.observe import scoreboard
from granian_d.worker import last_request

ROOM = scoreboard.TEXT_WORDS * 8


def interpreted():
    """The source, whatever lies compiled beside it."""
    path = Path(last_request.__file__).parent / "last_request.py"
    spec = importlib.util.spec_from_file_location("last_request_interpreted", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LastRequest


@pytest.fixture(params=[last_request.LastRequest, interpreted()], ids=["built", "source"])
def board(request):
    """A row between two others that must stay as they are, and its writer."""
    words = memoryview(array("Q", [0xAA] * (3 * scoreboard.WORDS)))
    row = words[scoreboard.WORDS : 2 * scoreboard.WORDS]
    return words, row, request.param(row)


def exchange(method, path, query=b""):
    head = RequestHead(method, path, query, b"h", "1.1", [], 0, False)
    return Exchange(head, Peer(None, None), None)


def text_of(row):
    text = row[scoreboard.TEXT : scoreboard.TEXT + scoreboard.TEXT_WORDS].tobytes()
    return text.rstrip(b"\0")


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", b"/", b"GET /"),
        ("GET", b"/caf\xc3\xa9", b"GET /caf\xc3\xa9"),
        ("CONNECT", b"", b"CONNECT "),
        ("GET", b"/" + b"a" * 300, b"GET /" + b"a" * (ROOM - 5)),
        ("GET", b"/" + b"a" * (ROOM - 5), b"GET /" + b"a" * (ROOM - 5)),
        ("M" * 300, b"/", b"M" * (ROOM - 1) + b" "),
    ],
)
def test_it_is_cut_to_fit_and_no_neighbour_is_touched(board, method, path, text):
    words, row, last = board
    one = exchange(method, path, b"token=secret")
    last.begun(one)
    got = text_of(row)
    if len(method) < ROOM:
        assert got == text
    else:  # as much of it as fits; nobody has such a method
        assert got[: ROOM - 1] == text[: ROOM - 1]
    assert row[scoreboard.LAST_NS] == one.started_ns
    others = [word for word in range(len(words)) if words[word] != 0xAA]
    first = scoreboard.WORDS + scoreboard.TEXT
    allowed = {scoreboard.WORDS + scoreboard.LAST_NS}
    allowed |= set(range(first, first + scoreboard.TEXT_WORDS))
    assert set(others) <= allowed


def test_nothing_is_left_of_a_longer_one(board):
    _, row, last = board
    for path in (b"/a-rather-long-path/with/many/parts", b"/b", b"/c/d", b""):
        last.begun(exchange("GET", path))
        assert text_of(row) == b"GET " + path


def test_the_scoreboard_reads_it():
    board = scoreboard.Scoreboard()
    index = board.take()
    last_request.LastRequest(board.row(index)).begun(exchange("DELETE", b"/x%20y", b"z=1"))
    assert board.last_request(index) == "DELETE /x%20y"
