"""The report of `granianctl status`: whatever state the daemon is in, there is one."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from granian_d import __version__
from granian_d.observe import scoreboard as columns
from granian_d.observe.scoreboard import Scoreboard
from granian_d.supervisor.child import Child
from granian_d.supervisor.listeners import Listeners
from granian_d.supervisor.report import describe
from granian_d.supervisor.roster import NEVER, Death, Mold, Outcome, Roster, Worker
from tests.unit.plan.specimens import daemon_plan, pool_plan, tcp

GONE = 2**22 + 1  # beyond any pid (proc(5), pid_max)


@pytest.fixture
def hands():
    board = Scoreboard()
    yield SimpleNamespace(
        children={},
        molds={},
        plans={},
        scoreboard=board,
        listeners=Listeners(()),
        exporter=None,
        datagrams=None,
    )
    os.close(board.fd)


def hire(hands, number, pid):
    row = hands.scoreboard.take()
    hands.children[number] = Child(pid, -1, None, row, 1, 1)
    return hands.scoreboard.row(row)


def report_of(roster, hands):
    return json.loads(json.dumps(describe(roster, hands, 12.5)))


def worker(number=1, state="ready", **more):
    return Worker(
        **{"slot": 1, "generation": 1, "deadline": NEVER, **more, "number": number, "state": state}
    )


def test_a_daemon_that_has_no_plan_yet(hands):
    report = report_of(Roster(), hands)
    assert (report["phase"], report["name"], report["engine"]) == ("booting", "", "")
    assert (report["listeners"], report["workers"], report["generations"]) == ([], [], [])
    assert (report["last_change"], report["deaths"], report["molds"]) == (None, [], [])
    assert report["version"] == __version__
    assert report["requests_per_s"] == 12.5
    assert report["master"]["pid"] == os.getpid()
    assert report["master"]["pss_bytes"] > 1 << 20


def test_addresses_are_those_of_the_plan_until_they_are_closed(hands):
    plan = hands.plans[1] = daemon_plan(tcp())
    hands.listeners.open(plan.listeners)
    (sock,) = hands.listeners.sockets(plan.listeners)
    serving = report_of(Roster(phase="serving", committed=1), hands)
    assert serving["listeners"] == [f"http://127.0.0.1:{sock.getsockname()[1]}"]
    assert (serving["name"], serving["engine"]) == ("hello", plan.worker.engine)
    hands.listeners.retain(())
    assert report_of(Roster(phase="stopping", committed=1), hands)["listeners"] == []


def test_what_a_worker_has_counted(hands):
    row = hire(hands, 1, os.getpid())
    now_ns = time.monotonic_ns()
    row[columns.REQUESTS], row[columns.ACTIVE], row[columns.CONNECTIONS] = 7, 2, 3
    row[columns.BUSY_NS], row[columns.LAG_NS] = 1_500_000_000, 2_000_000
    row[columns.LAST_NS] = now_ns - 10_000_000_000
    text = b"GET /caf\xc3\xa9".ljust(columns.TEXT_WORDS * 8, b"\0")
    memoryview(row[columns.TEXT : columns.TEXT + columns.TEXT_WORDS]).cast("B")[:] = text
    report = report_of(Roster(phase="serving", committed=1, workers={1: worker()}), hands)
    (told,) = report["workers"]
    assert (told["requests"], told["active"], told["connections"]) == (7, 2, 3)
    assert (told["busy_s"], told["lag_s"]) == (1.5, 0.002)
    assert told["last_request"] == "GET /café"
    assert 10 <= told["last_request_ago_s"] < 60
    assert (told["oldest_request_s"], told["beat_ago_s"]) == (None, None)
    assert (report["totals"]["requests"], report["totals"]["active"]) == (7, 2)


@pytest.fixture
def sleeper():
    """A process that does nothing; its pid."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_memory_is_what_the_kernel_says(hands, sleeper):
    hire(hands, 1, sleeper)
    (told,) = report_of(Roster(workers={1: worker()}), hands)["workers"]
    text = Path(f"/proc/{sleeper}/smaps_rollup").read_text()
    found = re.findall(r"^(Rss|Pss): +(\d+)", text, re.MULTILINE)
    figures = {name: int(kib) * 1024 for name, kib in found}
    assert told["rss_bytes"] == pytest.approx(figures["Rss"], rel=0.2)
    assert told["pss_bytes"] == pytest.approx(figures["Pss"], rel=0.2)


def test_a_child_is_younger_than_its_master(hands, sleeper):
    hire(hands, 1, sleeper)
    report = report_of(Roster(workers={1: worker()}), hands)
    assert 0 <= report["workers"][0]["uptime_s"] < report["master"]["uptime_s"]


def test_who_has_just_gone_is_no_trouble(hands):
    hire(hands, 1, GONE)
    roster = Roster(workers={1: worker(), 2: worker(2, "starting")})
    gone, unborn = report_of(roster, hands)["workers"]
    assert (gone["pid"], gone["uptime_s"], gone["rss_bytes"]) == (GONE, None, None)
    assert (unborn["pid"], "rss_bytes" in unborn) == (None, False)


def test_who_is_leaving_and_why_somebody_dies(hands):
    workers = {1: worker(leaving=True), 2: worker(2, "dying", leaving=True, reason="it hangs")}
    first, second = report_of(Roster(workers=workers), hands)["workers"]
    assert (first["state"], second["state"], second["reason"]) == ("leaving", "dying", "it hangs")


def test_generations(hands):
    pool = pool_plan(workers=2)
    roster = Roster(
        phase="serving",
        committed=2,
        candidate=3,
        terms={2: pool, 3: pool},
        workers={
            1: worker(1, "draining", generation=1),
            2: worker(2, generation=2),
            3: worker(3, "starting", generation=3),
        },
    )
    report = report_of(roster, hands)
    assert report["reloading"] is True
    assert [tuple(generation.values()) for generation in report["generations"]] == [
        (1, "draining", 0, 0, 1),
        (2, "committed", 2, 1, 1),
        (3, "candidate", 2, 0, 1),
    ]


def test_deaths_molds_and_the_last_change(hands):
    now = time.monotonic()
    roster = Roster(
        molds={4: Mold(4, 2, "ready", NEVER)},
        deaths=(Death(now - 60, 1, 2, 99, "SIGKILL", ""),),
        outcome=Outcome(7, now - 12.5, now - 10, 70, "no database"),
    )
    report = report_of(roster, hands)
    assert report["molds"] == [{"number": 4, "generation": 2, "state": "ready", "pid": None}]
    (death,) = report["deaths"]
    assert death.pop("at") == pytest.approx(time.time() - 60, abs=5)
    assert death == {"slot": 1, "generation": 2, "pid": 99, "how": "SIGKILL", "reason": ""}
    change = report["last_change"]
    assert change.pop("at") == pytest.approx(time.time() - 10, abs=5)
    assert change == {"change": 7, "took_s": 2.5, "exit_code": 70, "reason": "no database"}


def test_health_is_what_the_workers_say(hands):
    hands.scoreboard.health[0] = columns.HEALTHS.index("degraded")
    assert report_of(Roster(), hands)["health"] == "degraded"


def test_who_tells_metrics(hands):
    assert report_of(Roster(), hands)["metrics"] is None
    address = "http://127.0.0.1:9090/metrics"
    hands.exporter = SimpleNamespace(address=address, pid=0)
    assert report_of(Roster(), hands)["metrics"] == {"address": address, "pid": None}
    hands.exporter.pid = os.getpid()
    told = report_of(Roster(), hands)["metrics"]
    assert (told["address"], told["pid"]) == (address, os.getpid())
    assert told["rss_bytes"] > 1 << 20


def test_the_page_about_it_names_every_field(hands):
    hire(hands, 1, os.getpid())
    hands.exporter = SimpleNamespace(address="http://127.0.0.1:9090/metrics", pid=os.getpid())
    now = time.monotonic()
    roster = Roster(
        phase="serving",
        committed=1,
        terms={1: pool_plan()},
        workers={1: worker()},
        molds={4: Mold(4, 2, "ready", NEVER)},
        deaths=(Death(now, 1, 2, 99, "SIGKILL", ""),),
        outcome=Outcome(7, now, now, 70, "no database"),
    )
    page = Path(__file__).parents[3].joinpath("docs/control.md").read_text()
    table = {
        name: row
        for row in page.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    report = report_of(roster, hands)
    assert set(report) == set(table)
    for name, value in report.items():
        parts = value if isinstance(value, list) else [value]
        fields = {field for part in parts if isinstance(part, dict) for field in part}
        assert fields <= set(re.findall(r"`(\w+)`", table[name].split("|")[2]))
