"""Counting in shared memory, with a second process that counts."""

from __future__ import annotations

import os

import pytest

from granian_d.interface.wsgi import account
from granian_d.observe import scoreboard
from granian_d.observe.scoreboard import (
    ACCEPTED,
    ACTIVE,
    BEAT_NS,
    COLUMNS,
    CONNECTIONS,
    FACTS,
    GAUGES,
    HEALTHS,
    REQUESTS,
    ROWS,
    SENT_BYTES,
    TEXT,
    TEXT_WORDS,
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
    assert TEXT + TEXT_WORDS <= WORDS
    assert WORDS * 8 % 64 == 0, "rows share no cache line"


def test_facts_are_numbered_as_they_are_named(board):
    for number, name in enumerate(FACTS):
        assert getattr(scoreboard, name.upper()) == number
    board.facts[len(FACTS) - 1] = 7
    assert board.copy().facts[len(FACTS) - 1] == 7
    assert [board.total(column, []) for column in range(len(COLUMNS))] == [0] * len(COLUMNS)


def test_the_pool_for_wsgi_finds_its_words(board):
    words = board.row(board.take())[scoreboard.BLOCKING]
    named = (
        *(account.THREADS, account.QUEUE),
        *(account.IDLE_NS, account.BUSY_NS, account.WAIT_NS),
    )
    columns = COLUMNS[scoreboard.BLOCKING]
    assert [columns[word].removeprefix("blocking_") for word in named] == [
        "threads",
        "queue",
        "idle_ns",
        "busy_ns",
        "wait_ns",
    ]
    assert len(words) == len(named)


def test_rows_do_not_overlap(board):
    rows = [0, 1, 2, ROWS - 1]
    for index in rows:
        row = board.row(index)
        assert len(row) == WORDS
        for word in range(WORDS):
            row[word] = index * WORDS + word
    for index in rows:
        assert list(board.row(index)) == [index * WORDS + word for word in range(WORDS)]


def test_a_row_belongs_to_one_worker_at_a_time(board):
    taken = [board.take() for _ in range(ROWS)]
    assert sorted(taken) == list(range(ROWS))
    with pytest.raises(OSError, match="no row"):
        board.take()
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


def test_the_last_request_is_told(board):
    index = board.take()
    assert board.last_request(index) == ""
    text = "GET /caf\u00e9".encode()
    board.row(index)[TEXT : TEXT + TEXT_WORDS].cast("B")[: len(text)] = text
    assert board.last_request(index) == "GET /caf\u00e9"


def test_health_is_shown_to_everybody(board):
    assert HEALTHS[board.health[0]] == "well"
    board.health[0] = HEALTHS.index("leaving")
    assert HEALTHS[Scoreboard(os.dup(board.fd)).health[0]] == "leaving"


def test_a_successor_takes_it_over(board):
    """Workers that live on keep their rows; what the others have counted is not lost."""
    living, dead = board.take(), board.take()
    board.row(living)[REQUESTS], board.row(dead)[REQUESTS] = 5, 7
    board.row(dead)[CONNECTIONS] = 3
    successor = Scoreboard(os.dup(board.fd), [living])
    assert successor.row(living)[REQUESTS] == 5
    assert successor.total(REQUESTS, [living]) == 12
    assert successor.total(CONNECTIONS, []) == 0
    assert successor.take() == dead
    assert list(successor.row(dead)) == [0] * WORDS


@pytest.mark.parametrize("fault", ["size", "layout"])
def test_what_another_release_has_made_is_refused(board, fault):
    fd = os.dup(board.fd)
    if fault == "size":
        os.ftruncate(fd, 4096)
    else:
        os.pwrite(fd, b"\1", 7)
    with pytest.raises(ValueError, match=fault):
        Scoreboard(fd)


# --- by slot, and copies --------------------------------------------------------------------------


def test_a_slot_keeps_what_its_workers_have_counted(board):
    first, second, other = board.take(1, 1), board.take(1, 2), board.take(2, 1)
    board.row(first)[REQUESTS], board.row(second)[REQUESTS], board.row(other)[REQUESTS] = 5, 7, 11
    board.row(second)[CONNECTIONS] = 3
    board.release(first)
    copy = board.copy()
    assert list(copy.workers) == [1, 2]
    assert copy.of_slot(1, REQUESTS) == 12
    assert copy.of_slot(1, CONNECTIONS) == 3
    assert copy.of_slot(2, REQUESTS) == 11
    assert copy.total(REQUESTS) == board.total(REQUESTS, [second, other]) == 23


def test_a_copy_is_of_its_moment(board):
    index = board.take(1, 1)
    copy = board.copy()
    board.row(index)[REQUESTS] = 5
    board.release(index)
    assert copy.total(REQUESTS) == 0
    assert (board.copy().workers, board.copy().total(REQUESTS)) == ({}, 5)


def test_a_copy_is_never_of_half_a_change(board):
    """Somebody copies while workers come, count and go: nothing is there twice, or not at all."""
    before = os.getpid()
    pid = os.fork()
    if pid == 0:
        for _ in range(2000):
            index = board.take(1, 1)
            board.row(index)[REQUESTS] = 1
            board.release(index)
        os._exit(0)
    seen = [0]
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        copy = board.copy()
        assert copy is not None
        seen.append(copy.total(REQUESTS))
    seen.append(board.copy().total(REQUESTS))
    assert os.getpid() == before
    assert seen == sorted(seen)
    assert seen[-1] == 2000


def test_who_was_stopped_while_he_folded_leaves_nothing_to_copy(board, monkeypatch):
    monkeypatch.setattr(scoreboard, "PATIENCE_S", 0.0)
    os.pwrite(board.fd, (1).to_bytes(8, "little"), scoreboard._FOLDS * 8)
    assert board.copy() is None
    os.pwrite(board.fd, (2).to_bytes(8, "little"), scoreboard._FOLDS * 8)
    assert board.copy().total(REQUESTS) == 0


def test_who_folded_and_was_killed_leaves_no_riddle(board):
    os.pwrite(board.fd, (1).to_bytes(8, "little"), scoreboard._FOLDS * 8)
    successor = Scoreboard(os.dup(board.fd))
    index = successor.take(1, 1)
    successor.row(index)[REQUESTS] = 4
    assert successor.copy().total(REQUESTS) == 4
    assert successor._words[scoreboard._FOLDS] % 2 == 0


def test_an_application_that_scribbles_on_its_row_harms_nobody_else(board):
    index, other = board.take(1, 1), board.take(2, 1)
    board.row(other)[REQUESTS] = 3
    for word in range(WORDS):
        board.row(index)[word] = 2**62
    assert list(board.copy().workers) == [2]
    board.release(index)
    assert board.copy().of_slot(2, REQUESTS) == 3
