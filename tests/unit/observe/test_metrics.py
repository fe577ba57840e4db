"""What Prometheus is told, read strictly."""

from __future__ import annotations

import math
import re

import pytest

from granian_d.observe import scoreboard as columns
from granian_d.observe.footprint import Footprint
from granian_d.observe.metrics import METRICS, PREFIX, render
from granian_d.observe.samples import Scene
from granian_d.observe.scoreboard import Scoreboard
from tests.exposition import Page

# 1.4 of what is known of Granian 2.8: its names and types, but for the two that restart with a worker.
GRANIANS = {
    **dict.fromkeys(("workers_spawns", "workers_respawns_for_err"), "counter"),
    **dict.fromkeys(("workers_respawns_for_lifetime", "workers_respawns_for_rss"), "counter"),
    **dict.fromkeys(("connections_handled", "connections_err", "requests_handled"), "counter"),
    **dict.fromkeys(("static_requests_handled", "static_requests_err"), "counter"),
    **dict.fromkeys(("blocking_idle_cumulative", "blocking_busy_cumulative"), "counter"),
    **dict.fromkeys(("connections_active", "blocking_threads", "blocking_queue"), "gauge"),
    "py_wait_cumulative": "counter",
    "worker_lifetime": "gauge",  # there a counter, which falls
}
S = 1_000_000_000


@pytest.fixture
def board():
    return Scoreboard()


def told(board, memory=None, now_ns=100 * S):
    return Page(render(Scene(board.copy(), memory or {}, now_ns, 7, 8)))


def hire(board, slot, generation=1, pid=0, **counted):
    index = board.take(slot, generation)
    row = board.row(index)
    row[columns.PID], row[columns.STARTED_NS] = pid, 40 * S
    for name, value in counted.items():
        row[columns.COLUMNS.index(name)] = value
    return index


def test_every_name_of_granians_is_there_with_its_type(board):
    page = told(board)
    assert GRANIANS.items() <= {n.removeprefix(PREFIX): k for n, k in page.kinds.items()}.items()


def test_every_metric_is_described_and_has_the_labels_that_the_page_names(board):
    hire(board, 1, 1, 99, beat_ns=1, requests=1)
    page = told(board, {pid: Footprint(2, 1) for pid in (7, 8, 99)})
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        suffix = "_bucket" if metric.kind == "histogram" else ""
        samples = page.samples[PREFIX + metric.name + suffix]
        names, _, values = metric.labels.partition(": ")
        expected = set(filter(None, re.split(", ", names)))
        for labels in samples:
            assert {label for label, _ in labels} == expected
        if values:
            assert {value for labels in samples for _, value in labels} == set(values.split(", "))
        assert metric.help.endswith(".")


def test_a_worker_is_known_by_its_slot(board):
    hire(board, 1, requests=5, connections=2, busy_ns=3 * S // 2, blocking_wait_ns=2500)
    hire(board, 12, requests=7)
    page = told(board)
    assert page("requests_handled", worker="1") == 5
    assert page("requests_handled", worker="12") == 7
    assert page("connections_active", worker="1") == 2
    assert page("worker_cpu_seconds_total", worker="1") == 1.5
    assert page("py_wait_cumulative", worker="1") == 2.5
    assert page("worker_lifetime", worker="1") == 60


def test_a_series_goes_on_over_workers_and_generations(board):
    old = hire(board, 1, 1, requests=5, active=3, latency_ns=S)
    hire(board, 1, 2, requests=1, active=1)
    both = told(board)
    assert both("requests_handled", worker="1") == 6
    assert both("requests_in_flight", worker="1") == 4
    assert both("worker_generation", worker="1") == 2
    board.release(old)
    alone = told(board)
    assert alone("requests_handled", worker="1") == 6
    assert alone("requests_in_flight", worker="1") == 1
    assert alone("request_duration_seconds_sum") == 1


def test_a_slot_that_is_left_comes_back_where_it_was(board):
    index = hire(board, 2, requests=5)
    board.release(index)
    assert "granian_requests_handled" not in told(board).samples
    hire(board, 2)
    assert told(board)("requests_handled", worker="2") == 5


def test_latencies_are_cumulative_and_in_seconds(board):
    index = hire(board, 1, latency_ns=3 * S)
    row = board.row(index)
    first = len(columns.COLUMNS)
    row[first], row[first + 6], row[first + columns.BUCKETS - 1] = 4, 2, 1
    page = told(board)
    buckets = page.samples["granian_request_duration_seconds_bucket"]
    found = {float(dict(labels)["le"]): value for labels, value in buckets.items()}
    bounds = list(found)
    assert bounds[0] == 2**14 / S
    assert bounds[6] == pytest.approx(2**20 / S)
    assert bounds[-2:] == [pytest.approx(2**35 / S), math.inf]
    assert [found[bound] for bound in bounds] == [4] * 6 + [6] * 16 + [7]
    assert page("request_duration_seconds_count") == 7


def test_answers_by_status(board):
    hire(board, 1, answers_0xx=1, answers_2xx=20, answers_5xx=5)
    hire(board, 2, answers_2xx=2, answers_6xx=6)
    page = told(board)
    codes = {"cut": 1, "1xx": 0, "2xx": 22, "3xx": 0, "4xx": 0, "5xx": 5, "other": 6}
    assert {code: page("responses_total", code=code) for code in codes} == codes


def test_websockets_are_no_requests_in_flight(board):
    hire(board, 1, active=5, conversations=3)
    page = told(board)
    assert page("websockets_active", worker="1") == 3
    assert page("requests_in_flight", worker="1") == 2


def test_memory_is_told_where_it_is_known(board):
    hire(board, 1, 1, pid=10)
    hire(board, 1, 2, pid=11)
    hire(board, 2, 2, pid=12)
    page = told(board, {10: Footprint(100, 30), 11: Footprint(50, 20), 7: Footprint(5, 0)})
    assert page("worker_rss_bytes", worker="1") == 150
    assert page.samples["granian_worker_pss_bytes"] == {frozenset({("worker", "1")}): 50}
    assert page("process_rss_bytes", process="master") == 5


def test_ages_are_of_now(board):
    hire(board, 1, beat_ns=99 * S, oldest_ns=97 * S, lag_ns=S // 4)
    hire(board, 2)  # it starts
    page = told(board)
    assert page("worker_heartbeat_age_seconds", worker="1") == 1
    assert page("worker_oldest_request_seconds", worker="1") == 3
    assert page("worker_lag_seconds", worker="1") == 0.25
    assert page("worker_oldest_request_seconds", worker="2") == 0
    assert len(page.samples["granian_worker_heartbeat_age_seconds"]) == 1


def test_what_the_master_has_counted(board):
    for word in range(len(columns.FACTS)):
        board.facts[word] = 100 + word
    board.health[0] = columns.HEALTHS.index("degraded")
    page = told(board)
    facts = {name: 100 + word for word, name in enumerate(columns.FACTS)}
    assert page("workers_spawns") == facts["spawned"]
    errors = ("ended_error", "ended_start", "ended_stall", "ended_request")
    assert page("workers_respawns_for_err") == sum(facts[name] for name in errors)
    assert page("workers_respawns_for_rss") == facts["due_rss"] + facts["due_pss"]
    assert page("workers_restarts_total", reason="stall") == facts["ended_stall"]
    assert page("reloads_total", result="superseded") == facts["reloads_superseded"]
    assert page("upgrades_total", result="failed") == facts["upgrades_failed"]
    assert (page("health", state="well"), page("health", state="degraded")) == (0, 1)
    assert page("generation") == facts["committed"]
    assert page("listen_queue") == facts["queued"]
