"""Counting in shared memory, with a second process that counts."""

from __future__ import annotations

import os

import pytest

from granian_d.observe import scoreboard
from granian_d.observe.scoreboard import (
    ACCEPTED,
    ACTIVE,
    BEAT_NS,
    BUCKETS,
    COLUMNS,
    CONNECTIONS,
    GAUGES,
    REQUESTS,
    ROWS,
    SENT_BYTES,
    WORDS,
    Scoreboard,
)


@pytest.fixture
def board():
    return Scoreboard()


def test_columns_are_numbered_as_they_are_named():
    for number, name in enumerate(COLUMNS):
        assert getattr(scoreboard, name.upper()) == number
    assert set(COLUMNS) >= GAUGES
    assert len(COLUMNS) + BUCKETS <= WORDS
    assert WORDS * 8 % 64 == 0, "rows share no cache line"


def test_rows_do_not_overlap(board):
    for index in range(ROWS):
        row = board.row(index)
        assert len(row) == WORDS
        for word in range(WORDS):
            row[word] = index * WORDS + word
    assert all(
        board.row(index)[word] == index * WORDS + word
        for index in range(ROWS)
        for word in range(WORDS)
    )


def test_a_row_belongs_to_one_worker_at_a_time(board):
    taken = [board.take() for _ in range(ROWS)]
    assert sorted(taken) == list(range(ROWS))
    board.release(taken[7])
    assert board.take() == taken[7]


def test_a_row_is_clean_for_the_next_worker(board):
    index = board.take()
    for word in range(WORDS):
        board.row(index)[word] = 99
    board.release(index)
    assert board.take() == index
    assert list(board.row(index)) == [0] * WORDS


def test_counters_outlive_their_worker_and_gauges_do_not(board):
    one, other = board.take(), board.take()
    for column in range(len(COLUMNS)):
        board.row(one)[column] = 10
        board.row(other)[column] = 1
    assert board.total(REQUESTS, [one, other]) == 11
    board.release(one)
    for column, name in enumerate(COLUMNS):
        assert board.total(column, [other]) == (1 if name in GAUGES else 11), name
    board.release(other)
    assert board.total(SENT_BYTES, []) == 11
    assert board.total(CONNECTIONS, []) == 0


def test_rows_not_asked_for_do_not_count(board):
    one, other = board.take(), board.take()
    board.row(one)[ACCEPTED] = 3
    board.row(other)[ACCEPTED] = 4
    assert board.total(ACCEPTED, [other]) == 4


def test_heartbeats_are_told_in_seconds(board):
    index = board.take()
    assert board.beat_s(index) == 0.0
    board.row(index)[BEAT_NS] = 2_500_000_000
    assert board.beat_s(index) == 2.5


def test_a_worker_writes_and_the_master_reads_and_the_other_way_round(board):
    index = board.take()
    board.row(index)[REQUESTS] = 5
    pid = os.fork()
    if pid == 0:
        row = board.row(index)
        row[ACTIVE] = row[REQUESTS] + 1  # it sees what was there
        row[REQUESTS] += 37
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    assert (board.row(index)[REQUESTS], board.row(index)[ACTIVE]) == (42, 6)


def test_children_write_side_by_side(board):
    rows = [board.take() for _ in range(4)]
    pids = []
    for number, index in enumerate(rows, 1):
        pid = os.fork()
        if pid == 0:
            for _ in range(1000):
                board.row(index)[REQUESTS] += number
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    assert [board.row(index)[REQUESTS] for index in rows] == [1000, 2000, 3000, 4000]
    assert board.total(REQUESTS, rows) == 10000
