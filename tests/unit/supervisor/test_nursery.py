"""Molds and the workers they fork, with real processes. The test is the master's mind: it orders,
and listens with the master's own loop.
"""

from __future__ import annotations

import errno
import functools
import http.client
import os
import select
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from granian_d.cli.serve import Runtime
from granian_d.control.channel import Born, Channel, Molded, Ready
from granian_d.observe.scoreboard import ROWS, Scoreboard
from granian_d.supervisor import nursery
from granian_d.supervisor.child import UNBORN, Child
from granian_d.supervisor.datagrams import NO_SEAT
from granian_d.supervisor.launch import Launch
from granian_d.supervisor.loop import _Loop
from granian_d.supervisor.nursery import NOT_BORN, ORDERS_AT_ONCE
from granian_d.supervisor.roster import Roster
from granian_d.supervisor.vocabulary import (
    CLEAN_EXIT,
    Discard,
    DismissMold,
    DrainWorker,
    KillWorker,
    MoldExited,
    MoldFailed,
    MoldReady,
    ReopenLogs,
    Spawn,
    StartMold,
    Tick,
    WorkerClosed,
    WorkerExited,
    WorkerLeaving,
    WorkerReady,
)
from granian_d.systemd.fdstore import FdStore
from granian_d.systemd.notify import Notifier
from granian_d.worker import identity
from tests.process.daemon import alive
from tests.unit.plan import specimens
from tests.unit.supervisor.processes import fork, in_a_child, must_not_hang, open_fds, status_of

APPLICATION = """
import os
IMPORTED_BY = os.getpid()

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = f"{IMPORTED_BY} {os.getpid()} {os.getppid()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


class Master:
    """The master's hands and ears."""

    def __init__(self, folder: Path, **worker) -> None:
        board = Scoreboard()
        runtime = Runtime([], (), board)
        self.log = folder / "log"
        self.plan = specimens.daemon_plan(
            specimens.tcp(),
            specimens.unix(folder / "s"),
            pool=specimens.pool_plan(preload=True),
            worker=specimens.worker_plan("held:app", working_dir=str(folder), **worker),
            log=specimens.log_plan(file=str(self.log)),
        )
        notifier = Notifier({}, 0)
        self.loop = _Loop(Launch(runtime, (), notifier, board, FdStore(notifier)))
        self.loop._roster = Roster()
        self.hands = self.loop._hands
        self.nursery = self.hands.nursery
        self.hands.adopt_plan(1, self.plan)

    def does(self, *commands) -> None:
        for command in commands:
            self.hands.do(command)
        self.loop._watch()

    def hears(self, *wanted) -> None:
        """These events come, in this order and no others."""
        heard = list(self.hands.news)
        self.hands.news.clear()
        with must_not_hang(60):
            while len(heard) < len(wanted):
                heard += [event for event in self.loop._wait() if not isinstance(event, Tick)]
                self.loop._watch()
        assert heard == list(wanted), self.log.read_text()

    def waits_for_births(self) -> None:
        with must_not_hang(60):
            while self.nursery.expecting:
                assert not [event for event in self.loop._wait() if not isinstance(event, Tick)]

    def molds(self) -> int:
        """Start mold 1; its pid."""
        self.does(StartMold(1, 1))
        self.hears(MoldReady(1))
        return self.nursery.molds[1].pid

    def spawns(self, number: int = 2, slot: int = 1) -> int:
        """Have mold 1 fork a worker; its pid."""
        self.does(Spawn(number, slot, 1, mold=1))
        self.hears(WorkerReady(number))
        return self.nursery.children[number].pid

    def ask(self) -> list[int]:
        """Who imported the application, who answers, and whose child that is."""
        address = self.hands.listeners.sockets([self.plan.listeners[0]])[0].getsockname()
        connection = http.client.HTTPConnection(*address, timeout=15)
        connection.request("GET", "/", headers={"Connection": "close"})
        answer = connection.getresponse().read()
        connection.close()
        return [int(pid) for pid in answer.split()]


def as_master(test):
    """Run a test's body in a process of its own, as the master of real children."""

    @functools.wraps(test)
    def run(tmp_path):
        (tmp_path / "held.py").write_text(APPLICATION)
        assert in_a_child(lambda: test(tmp_path)) == 0

    return run


@as_master
def test_a_mold_forks_workers_that_are_the_masters_children(tmp_path):
    master = Master(tmp_path)
    mold = master.molds()
    one = master.spawns(2, 1)
    assert master.ask() == [mold, one, os.getpid()]
    other = master.spawns(3, 2)
    assert len({mold, one, other}) == 3
    for pid, part in ((mold, "mold"), (one, "worker 1"), (other, "worker 2")):
        title = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
        assert title == f"granian-d: {part} [hello] gen 1"
    text = master.log.read_text()
    assert f"Spawning the mold of generation 1 with PID: {mold}" in text
    assert f"Spawning worker-1 with PID: {one}" in text
    assert f"Spawning worker-2 with PID: {other}" in text


@as_master
def test_a_worker_of_a_mold_drains_and_is_reaped_as_all_are(tmp_path):
    master = Master(tmp_path)
    before = open_fds()
    master.molds()
    worker = master.spawns()
    master.does(DrainWorker(2, 10.0, hasty=True, stream_s=10.0))
    master.hears(WorkerClosed(2), WorkerExited(2, CLEAN_EXIT, worker))
    mold = master.nursery.molds[1].pid
    master.does(DismissMold(1))
    master.hears(MoldExited(1, CLEAN_EXIT, mold))
    assert not master.nursery.everybody()
    assert open_fds() == before
    assert not master.nursery.pids
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    board = master.hands.scoreboard
    assert len([board.take() for _ in range(ROWS)]) == ROWS, "the rows are free again"


@as_master
def test_a_mold_holds_no_listening_socket(tmp_path):
    """It would keep an address in use, and connections in a queue that nobody looks into."""
    master = Master(tmp_path)
    mold = master.molds()
    listening = {f"socket:[{os.fstat(sock.fileno()).st_ino}]" for sock in sockets(master)}
    assert not listening & links(mold)
    assert listening <= links(master.spawns())


def sockets(master) -> tuple[socket.socket, ...]:
    return master.hands.listeners.sockets(master.plan.listeners)


def links(pid: int) -> set[str]:
    return {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


@as_master
def test_a_mold_keeps_the_code_that_it_imported(tmp_path):
    master = Master(tmp_path)
    mold = master.molds()
    (tmp_path / "held.py").write_text("raise RuntimeError('new and broken')")
    worker = master.spawns()
    assert master.ask() == [mold, worker, os.getpid()]


@as_master
def test_an_application_that_cannot_be_imported(tmp_path):
    (tmp_path / "held.py").write_text("raise RuntimeError('no database')")
    master = Master(tmp_path)
    master.does(StartMold(1, 1))
    with must_not_hang(60):
        heard = []
        while len(heard) < 2:
            heard += [event for event in master.loop._wait() if not isinstance(event, Tick)]
    failed, exited = heard
    assert isinstance(failed, MoldFailed)
    assert "RuntimeError: no database" in failed.reason
    assert exited.how == f"exit status {failed.exit_code}"


@as_master
def test_a_mold_that_is_killed_leaves_its_workers_alone(tmp_path):
    master = Master(tmp_path)
    mold = master.molds()
    worker = master.spawns()
    master.does(KillWorker(1, "KILL"))
    master.hears(MoldExited(1, "SIGKILL", mold))
    assert master.ask() == [mold, worker, os.getpid()]
    master.does(Spawn(3, 2, 1, mold=1))
    master.hears(WorkerExited(3, "a failed fork (its mold has gone)"))


@as_master
def test_a_mold_that_does_not_answer_has_its_unborn_killed(tmp_path):
    master = Master(tmp_path)
    mold = master.molds()
    os.kill(mold, signal.SIGSTOP)
    master.does(Spawn(2, 1, 1, mold=1))
    assert master.nursery.expecting
    master.does(KillWorker(2, "KILL"))
    master.hears(WorkerExited(2, NOT_BORN))
    os.kill(mold, signal.SIGCONT)
    # It forks whom nobody wants any more: who ends at once, and does not answer for the next one.
    worker = master.spawns(3, 1)
    assert master.ask() == [mold, worker, os.getpid()]
    assert [one.pid for one in master.nursery.children.values()] == [worker]


@as_master
def test_the_unborn_of_a_mold_that_dies_are_never_born(tmp_path):
    master = Master(tmp_path)
    mold = master.molds()
    os.kill(mold, signal.SIGSTOP)
    master.does(Spawn(2, 1, 1, mold=1), KillWorker(1, "KILL"))
    with must_not_hang(60):
        heard = set()
        while len(heard) < 2:
            heard |= {event for event in master.loop._wait() if not isinstance(event, Tick)}
            master.loop._watch()
    assert heard == {WorkerExited(2, NOT_BORN), MoldExited(1, "SIGKILL", mold)}


@as_master
def test_a_worker_that_is_doomed_before_its_birth_is_heard_and_killed(tmp_path):
    """It said who it is just before the order came: it must not serve without the master."""
    master = Master(tmp_path)
    stand_in(master, 2)
    pid = fork(stay)
    master.theirs.send(Born(pid))
    master.does(KillWorker(2, "ABRT"))
    assert not master.theirs.send(Ready()), "what it says from now on is not heard"
    master.hears(WorkerExited(2, "SIGKILL", pid))


def stand_in(master, number: int) -> None:
    """The test is the unborn worker of that number, and speaks for it as `master.theirs`."""
    ours, master.theirs = Channel.pair()
    row = master.hands.scoreboard.take()
    master.nursery.children[number] = Child(UNBORN, -1, ours, row, 1, 1)
    master.loop._watch()


LIES = {
    "the master itself": lambda _: os.getpid(),
    "the mold": lambda mold: mold,
    "everybody of the group": lambda _: 0,
    "init": lambda _: 1,
    "more than a pid": lambda _: 1 << 40,
    "less than a pid": lambda _: -1,
    "a grandchild": lambda _: grandchild(),
}


def grandchild() -> int:
    """A process that is no child of this one."""
    reader, writer = os.pipe()

    def beget():
        os.write(writer, str(fork(stay)).encode())
        stay()

    fork(beget)
    return int(os.read(reader, 20))


def stay() -> None:
    """Live until the parent ends."""
    identity.die_with(os.getppid())
    signal.pause()


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_mold_that_lies_about_a_birth_is_not_believed(lie, tmp_path):
    def scenario():
        master = Master(tmp_path)
        mold = master.molds()
        stand_in(master, 2)
        pid = lie(mold)
        master.theirs.send(Born(pid))
        master.hears(WorkerExited(2, NOT_BORN))
        assert mold in {one.pid for one in master.nursery.molds.values()}
        assert alive(mold)

    (tmp_path / "held.py").write_text(APPLICATION)
    assert in_a_child(scenario) == 0


@as_master
def test_who_was_not_born_has_nothing_else_to_say(tmp_path):
    master = Master(tmp_path)
    stand_in(master, 2)
    master.theirs.send(Ready())
    master.hears(WorkerExited(2, NOT_BORN))


@as_master
def test_who_was_not_asked_to_does_not_become_a_mold(tmp_path):
    master = Master(tmp_path)
    stand_in(master, 2)
    master.theirs.send(Born(fork(stay)))
    master.waits_for_births()
    master.theirs.send(Molded())
    assert [event for event in master.loop._wait() if not isinstance(event, Tick)] == []
    assert 2 in master.nursery.children
    assert 2 not in master.nursery.molds


@as_master
def test_an_heir_becomes_the_mold_of_the_workers_to_come(tmp_path):
    master = Master(tmp_path)
    mold = master.molds()
    heir = master.spawns()
    master.does(DrainWorker(2, 10.0, hasty=True, stream_s=10.0, heir=True))
    master.hears(WorkerClosed(2), MoldReady(2))
    assert not master.nursery.children
    assert master.nursery.molds[2].pid == heir
    assert not {f"socket:[{os.fstat(s.fileno()).st_ino}]" for s in sockets(master)} & links(heir)
    master.does(DismissMold(1))
    master.hears(MoldExited(1, CLEAN_EXIT, mold))
    master.does(Spawn(3, 1, 1, mold=2))
    master.hears(WorkerReady(3))
    worker = master.nursery.children[3].pid
    assert master.ask() == [mold, worker, os.getpid()], "the application was imported once"
    # And again: from that worker's worker.
    master.does(DrainWorker(3, 10.0, hasty=True, stream_s=10.0, heir=True))
    master.hears(WorkerClosed(3), MoldReady(3))
    master.does(Spawn(4, 1, 1, mold=3))
    master.hears(WorkerReady(4))
    assert master.ask() == [mold, master.nursery.children[4].pid, os.getpid()]


@as_master
def test_an_heir_on_uvloop(tmp_path):
    master = Master(tmp_path, loop="uvloop")
    mold = master.molds()
    master.spawns()
    master.does(DrainWorker(2, 10.0, hasty=True, stream_s=10.0, heir=True))
    master.hears(WorkerClosed(2), MoldReady(2))
    master.does(Spawn(3, 1, 1, mold=2))
    master.hears(WorkerReady(3))
    assert master.ask() == [mold, master.nursery.children[3].pid, os.getpid()]


@as_master
def test_an_heir_with_threads_leaves_as_any_worker_does(tmp_path):
    started = "import threading\nthreading.Thread(target=threading.Event().wait, name='stays', daemon=True).start()\n"
    late = APPLICATION.replace(
        "        await receive()\n", f"        exec({started!r})\n        await receive()\n", 1
    )
    (tmp_path / "held.py").write_text(late)
    master = Master(tmp_path)
    master.molds()
    heir = master.spawns()
    master.does(DrainWorker(2, 10.0, hasty=True, stream_s=10.0, heir=True))
    master.hears(WorkerClosed(2), WorkerExited(2, CLEAN_EXIT, heir))
    assert "Worker-1 leaves instead of becoming the mold" in master.log.read_text()
    assert "stays" in master.log.read_text()


@as_master
def test_an_order_to_become_a_mold_can_be_taken_back(tmp_path):
    master = Master(tmp_path)
    master.molds()
    heir = master.spawns()
    held = socket.create_connection(sockets(master)[0].getsockname())  # so that it drains on
    held.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert held.recv(1)
    master.does(DrainWorker(2, 10.0, hasty=False, stream_s=10.0, heir=True))
    master.hears(WorkerClosed(2))
    master.does(DrainWorker(2, 10.0, hasty=True, stream_s=10.0))
    held.close()
    master.hears(WorkerClosed(2), WorkerExited(2, CLEAN_EXIT, heir))


@as_master
def test_threads_and_sockets_at_import_are_named(tmp_path):
    unwise = (
        "import socket, threading\n"
        "threading.Thread(target=threading.Event().wait, name='eager', daemon=True).start()\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname())\n"
        "ADDRESSES = (client.getsockname(), client.getpeername())\n"
        "with open('addresses', 'w') as file:\n"
        "    print(*('%s:%d' % address for address in ADDRESSES), file=file)\n"
    )
    (tmp_path / "held.py").write_text(unwise + APPLICATION)
    master = Master(tmp_path)
    master.molds()
    text = master.log.read_text()
    here, there = (tmp_path / "addresses").read_text().split()
    assert (
        "[WARNING] The application has started threads by the time it was imported: eager" in text
    )
    assert "[WARNING] The application has opened sockets" in text
    assert f"AF_INET {here} - {there}" in text
    assert f"AF_INET {there} - nobody" in text


@as_master
def test_a_thread_that_python_does_not_know_is_named_too(tmp_path):
    native = (
        "import _thread, threading\n"
        "lock = _thread.allocate_lock(); lock.acquire()\n"
        "_thread.start_new_thread(lock.acquire, ())\n"
    )
    (tmp_path / "held.py").write_text(native + APPLICATION)
    master = Master(tmp_path)
    master.molds()
    assert "has started threads" in master.log.read_text()


@as_master
def test_a_quiet_application_is_not_warned_of(tmp_path):
    master = Master(tmp_path)
    master.molds()
    assert "WARNING" not in master.log.read_text()


@as_master
def test_what_was_printed_at_import_is_printed_once(tmp_path):
    out = tmp_path / "out"
    os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT), 1)
    (tmp_path / "held.py").write_text("print('imported')\n" + APPLICATION)
    sys.stdout = os.fdopen(1, "w", buffering=4096)
    master = Master(tmp_path)
    master.molds()
    worker = master.spawns()
    master.does(DrainWorker(2, 10.0, hasty=True, stream_s=10.0))
    master.hears(WorkerClosed(2), WorkerExited(2, CLEAN_EXIT, worker))
    assert out.read_text() == "imported\n"


def test_molds_and_workers_die_with_the_master(tmp_path):
    (tmp_path / "held.py").write_text(APPLICATION)
    reader, writer = os.pipe()

    def scenario():
        master = Master(tmp_path)
        pids = [master.molds(), master.spawns()]
        os.write(writer, " ".join(map(str, pids)).encode())
        os.kill(os.getpid(), signal.SIGKILL)

    pid = fork(scenario)
    pids = [int(text) for text in os.read(reader, 100).split()]
    pidfds = [os.pidfd_open(pid) for pid in pids if alive(pid)]
    assert status_of(pid) == -signal.SIGKILL
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], 15)[0]
        os.close(pidfd)


@as_master
def test_a_log_file_that_is_opened_anew_is_so_for_workers_to_come(tmp_path):
    master = Master(tmp_path)
    master.molds()
    os.rename(master.log, tmp_path / "rotated")
    master.does(ReopenLogs())
    worker = master.spawns()
    assert str(master.log) in links(worker)
    assert str(tmp_path / "rotated") not in links(worker)


@as_master
def test_an_heir_whose_order_was_taken_back_too_late_ends_as_a_worker(tmp_path):
    """It says that it is a mold when the master wants it to leave: it is nobody's mold."""
    master = Master(tmp_path)
    stand_in(master, 2)
    pid = fork(stay)
    master.theirs.send(Born(pid))
    master.waits_for_births()
    master.does(DrainWorker(2, 10.0, hasty=False, stream_s=10.0, heir=True))
    master.does(DrainWorker(2, 10.0, hasty=True, stream_s=10.0))
    master.theirs.send(Molded())
    assert [event for event in master.loop._wait() if not isinstance(event, Tick)] == []
    master.does(KillWorker(2, "KILL"))
    master.hears(WorkerExited(2, "SIGKILL", pid))


@as_master
def test_more_workers_than_fit_into_the_wire(tmp_path):
    """Orders wait until births make room; each slot gets its worker."""
    master = Master(tmp_path)
    mold = master.molds()
    os.kill(mold, signal.SIGSTOP)
    numbers = range(2, 2 + 3 * ORDERS_AT_ONCE)
    master.does(*(Spawn(number, number, 1, mold=1) for number in numbers))
    assert not master.hands.news
    os.kill(mold, signal.SIGCONT)
    ready = set()
    with must_not_hang(60):
        while len(ready) < len(numbers):
            ready |= {event for event in master.loop._wait() if not isinstance(event, Tick)}
            master.loop._watch()
    assert ready == {WorkerReady(number) for number in numbers}


@as_master
def test_orders_that_wait_for_a_mold_that_dies(tmp_path):
    master = Master(tmp_path)
    mold = master.molds()
    before = open_fds()
    os.kill(mold, signal.SIGSTOP)
    numbers = range(2, 2 + 2 * ORDERS_AT_ONCE)
    master.does(*(Spawn(number, number, 1, mold=1) for number in numbers))
    master.does(KillWorker(2, "KILL"), KillWorker(numbers[-1], "KILL"), KillWorker(1, "KILL"))
    heard = set()
    with must_not_hang(60):
        while len(heard) < len(numbers) + 1:
            heard |= {event for event in master.loop._wait() if not isinstance(event, Tick)}
            master.loop._watch()
    exits = {WorkerExited(number, NOT_BORN) for number in numbers}
    assert heard == {MoldExited(1, "SIGKILL", mold), *exits}
    assert len(before - open_fds()) == 2, "the pidfd and the channel of the mold"
    assert not open_fds() - before


@as_master
def test_orders_of_a_generation_that_is_discarded_are_not_sent(tmp_path):
    master = Master(tmp_path)
    mold = master.molds()
    master.hands.plans[0] = master.plan  # the committed one
    os.kill(mold, signal.SIGSTOP)
    numbers = range(2, 2 + 2 * ORDERS_AT_ONCE)
    master.does(*(Spawn(number, number, 1, mold=1) for number in numbers))
    master.does(Discard(1), DismissMold(1), *(KillWorker(number, "KILL") for number in numbers))
    heard = set()
    with must_not_hang(60):
        while len(heard) < len(numbers):
            heard |= {event for event in master.loop._wait() if not isinstance(event, Tick)}
            master.loop._watch()
    assert heard == {WorkerExited(number, NOT_BORN) for number in numbers}
    os.kill(mold, signal.SIGCONT)
    master.hears(MoldExited(1, CLEAN_EXIT, mold))


THREADED = """
import asyncio, atexit, os, random, threading

def note(text):
    with open("notes", "a") as file:
        file.write(f"{text} {os.getpid()}\\n")

atexit.register(note, "end")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        note("start")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        note("stop")
        await send({"type": "lifespan.shutdown.complete"})
        return
    number = await asyncio.to_thread(random.getrandbits, 64)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(number).encode()})
"""


@as_master
def test_the_loops_own_executor_is_no_hindrance_to_an_heir(tmp_path):
    """Its threads end with the loop; the next loop has an executor of its own, and random numbers
    are other ones in each worker."""
    (tmp_path / "held.py").write_text(THREADED)
    master = Master(tmp_path)
    mold = master.molds()
    heir = master.spawns()
    numbers = [master.ask()]
    master.does(DrainWorker(2, 10.0, hasty=True, stream_s=10.0, heir=True))
    master.hears(WorkerClosed(2), MoldReady(2))
    master.does(DismissMold(1))
    master.hears(MoldExited(1, CLEAN_EXIT, mold))
    ends = []
    for number in (3, 4):
        master.does(Spawn(number, 1, 1, mold=2))
        master.hears(WorkerReady(number))
        numbers.append(master.ask())
        ends.append(master.nursery.children[number].pid)
        master.does(DrainWorker(number, 10.0, hasty=True, stream_s=10.0))
        master.hears(WorkerClosed(number), WorkerExited(number, CLEAN_EXIT, ends[-1]))
    master.does(DismissMold(2))
    master.hears(MoldExited(2, CLEAN_EXIT, heir))
    assert len({number for (number,) in numbers}) == 3
    # Exit handlers run where something has served and now ends: not in molds, nor in heirs.
    expected = [("start", heir), ("stop", heir)]
    for pid in ends:
        expected += [("start", pid), ("stop", pid), ("end", pid)]
    assert (tmp_path / "notes").read_text().split() == [str(w) for pair in expected for w in pair]


@as_master
def test_a_mold_leaves_sigterm_to_the_master(tmp_path):
    """Of an heir, too, whose loop had a handler of its own and took it along when it was closed."""
    master = Master(tmp_path)
    os.kill(master.molds(), signal.SIGTERM)
    os.kill(master.spawns(), 0)
    master.does(DrainWorker(2, 10.0, hasty=True, stream_s=10.0, heir=True))
    master.hears(WorkerClosed(2), MoldReady(2))
    os.kill(master.nursery.molds[2].pid, signal.SIGTERM)
    master.does(Spawn(3, 1, 1, mold=2))
    master.hears(WorkerReady(3))
    os.kill(master.nursery.children[3].pid, signal.SIGTERM)
    master.hears(WorkerLeaving(3))


# --- datagrams ---------------------------------------------------------------------------------------


def with_http3(master: Master, **changes) -> None:
    """Generation 2 reads datagrams."""
    web = replace(specimens.tcp("127.0.0.2"), tls=True, http3=True)
    plan = replace(master.plan, listeners=(web,), quic=specimens.QUIC, **changes)
    master.hands.adopt_plan(2, plan)


@as_master
def test_a_fork_that_fails_leaves_its_seat_free(tmp_path):
    master = Master(tmp_path)
    with_http3(master)
    before = open_fds()

    def refuse(_run):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    nursery.child.fork, fork = refuse, nursery.child.fork
    master.does(Spawn(2, 1, 2))
    nursery.child.fork = fork
    master.hears(WorkerExited(2, "a failed fork (Resource temporarily unavailable)"))
    assert master.hands.datagrams.seat(2) == NO_SEAT
    assert open_fds() == before


@as_master
def test_an_order_that_nobody_obeys_leaves_its_seat_free(tmp_path):
    master = Master(tmp_path)
    with_http3(master)
    mold = master.molds()
    before = open_fds()
    os.kill(mold, signal.SIGSTOP)
    master.does(Spawn(2, 1, 2, mold=1))
    assert master.hands.datagrams.seat(2) == 0
    master.does(KillWorker(1, "KILL"))
    master.hears(WorkerExited(2, NOT_BORN), MoldExited(1, "SIGKILL", mold))
    assert master.hands.datagrams.seat(2) == NO_SEAT
    assert len(open_fds()) == len(before) - 2  # what was held of the mold
