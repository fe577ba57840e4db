"""The master's end of the control socket: real sockets, and a master that never waits."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import stat
import tempfile
import time
from dataclasses import replace

import pytest

from granian_d.control import wire
from granian_d.control.channel import DUMP_SIGNAL, Channel, Dump, sealed_memory
from granian_d.control.wire import Done, Phase
from granian_d.errors import ListenError
from granian_d.supervisor import reception as room
from granian_d.supervisor.caller import QUEUE_BYTES
from granian_d.supervisor.child import Child
from granian_d.supervisor.dumps import ANSWER_S
from granian_d.supervisor.reception import MOST_CALLERS, PATIENCE_S, Reception
from granian_d.supervisor.roster import Roster
from granian_d.supervisor.vocabulary import Verdict, Wanted
from tests.unit.supervisor.processes import in_a_child, must_not_hang, open_fds

SERVING = Roster(phase="serving", committed=1, change=3)


@pytest.fixture
def path():
    directory = tempfile.mkdtemp(prefix="gd")
    yield f"{directory}/control.sock"
    shutil.rmtree(directory)


class Master:
    """A Reception and what is around it in a master."""

    def __init__(self, path, waiting=()):
        self.path = path
        self.children = {}
        self.logged = []
        self.sockets = []
        self.reception = Reception(path, lambda: self.children, self.logged.append, waiting)
        self.reception.decided(SERVING)

    def hear(self):
        """One turn of the loop; what became of it."""
        with must_not_hang():
            return list(self.reception.hear(lambda: {"answer": 42}))

    def call(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        self.sockets.append(sock)
        sock.settimeout(5)
        sock.connect(self.path)
        assert self.hear() == []
        return sock

    def ask(self, request):
        """Somebody asks: his socket, and the events."""
        sock = self.call()
        sock.sendall(wire.encode(request) if isinstance(request, tuple) else request)
        return sock, self.hear()

    def close(self):
        self.reception.close()
        for sock in self.sockets:
            sock.close()


@pytest.fixture
def master(path):
    master = Master(path)
    yield master
    master.close()


def answers(sock):
    """What has been said to him so far."""
    lines = b""
    with contextlib.suppress(BlockingIOError):
        sock.setblocking(False)
        while part := sock.recv(1 << 20):
            lines += part
    return [wire.decode_answer(line) for line in lines.splitlines()]


def is_let_go(sock):
    sock.setblocking(False)
    try:
        while sock.recv(65536):
            continue
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return True


# --- the socket ---------------------------------------------------------------------------------


def test_only_its_owner_can_connect(master, path):
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_stale_socket_is_taken_over(path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    master = Master(path)
    sock, _ = master.ask(wire.Status())
    assert answers(sock)[-1] == Done(0, "")
    master.close()
    assert not os.path.lexists(path)


def test_a_live_one_is_left_to_who_has_it(master, path):
    with pytest.raises(ListenError, match=f"process {os.getpid()} serves on it"):
        Master(path)
    assert master.hear() == []  # who only knocked
    sock, _ = master.ask(wire.Status())
    assert answers(sock)[-1] == Done(0, "")


def test_what_is_no_socket_is_left_alone(path):
    with open(path, "w") as file:
        file.write("precious")
    with pytest.raises(ListenError, match="not a socket"):
        Master(path)
    with open(path) as file:
        assert file.read() == "precious"


def test_at_the_end_only_what_is_ours_is_unlinked(path):
    master = Master(path)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        master.close()
        assert os.path.lexists(path)


def test_a_child_closes_all_and_spoils_nothing(master, path):
    sock, _ = master.ask(wire.Reload(wait=True))

    def be_a_child():
        before = open_fds()
        master.reception.leave()
        assert len(before - open_fds()) == 3  # the door, the caller, and what watches both

    assert in_a_child(be_a_child) == 0
    assert os.path.lexists(path)
    master.reception.decided(SERVING)
    master.reception.judge(Verdict(9, 0, ""))
    assert answers(sock) == [Done(0, "")]


def test_nothing_is_left_open(path):
    before = open_fds()
    master = Master(path)
    for _ in range(3):
        sock, _ = master.ask(wire.Status())
        sock.close()
        master.hear()
    master.ask(wire.Reload(wait=True))
    master.close()
    assert open_fds() == before


# --- requests -----------------------------------------------------------------------------------

EVENTS = [  # no mapping: records of different kinds may be equal as tuples
    (wire.Reload(wait=False), Wanted("reload")),
    (wire.Upgrade(wait=False), Wanted("upgrade")),
    (wire.Scale(7), Wanted("scale", 7)),
    (wire.Stop(), Wanted("stop")),
    (wire.Quit(), Wanted("quit")),
]


@pytest.mark.parametrize(("request_", "event"), EVENTS)
def test_what_needs_no_waiting_is_answered_at_once(master, request_, event):
    sock, events = master.ask(request_)
    assert events == [event]
    assert answers(sock) == [Done(0, "")]
    assert is_let_go(sock)
    assert [(r.event, r.fields["uid"]) for r in master.logged] == [
        ("control_request", os.geteuid())
    ]


def test_status_is_a_document_and_not_worth_a_line_in_the_log(master):
    sock, events = master.ask(wire.Status())
    line, fds, _, _ = socket.recv_fds(sock, 65536, 4)
    assert wire.decode_answer(line.splitlines()[0]) == wire.Document("status")
    assert json.loads(wire.read_document(fds[0])) == {"answer": 42}
    assert events == []
    assert master.logged == []


def test_a_fault_in_the_report_does_not_end_the_master(master):
    sock = master.call()
    sock.sendall(wire.encode(wire.Status()))
    assert list(master.reception.hear(lambda: {}["missing"])) == []
    assert answers(sock) == [Done(70, "the report failed: KeyError('missing')")]
    (report,) = master.logged
    assert report.event == "loop_error"
    assert "KeyError: 'missing'" in report.fields["reason"]


def test_a_number_of_workers_has_bounds(master):
    for workers in (0, -1, 513):
        sock, events = master.ask(wire.Scale(workers))
        assert events == []
        assert answers(sock) == [Done(64, f"{workers} is not from 1 to 512")]


def test_who_cannot_scale_says_so(master):
    master.reception.decided(Roster(phase="booting"))
    sock, events = master.ask(wire.Scale(2))
    assert events == []
    assert answers(sock) == [Done(75, "the service is booting")]


@pytest.mark.parametrize("line", [b"reload\n", b"\n", b'{"v": 9, "kind": "stop"}\n'])
def test_what_is_no_request_is_answered(master, line):
    sock, events = master.ask(line)
    assert events == []
    (done,) = answers(sock)
    assert done.exit_code == 64
    assert "not understood" in done.reason
    assert is_let_go(sock)


@pytest.mark.parametrize(
    "octets",
    [
        b"x" * (wire.REQUEST_BYTES + 1),
        wire.encode(wire.Stop()) * 2,
        wire.encode(wire.Stop()) + b"x",
    ],
    ids=["too long", "two requests", "more than a request"],
)
def test_who_keeps_to_no_bound_is_let_go(master, octets):
    sock, events = master.ask(octets)
    assert events == []
    assert is_let_go(sock)


def test_a_request_may_come_in_parts(master):
    line = wire.encode(wire.Stop())
    sock, events = master.ask(line[:9])
    assert events == []
    sock.sendall(line[9:])
    assert master.hear() == [Wanted("stop")]


# --- those who wait -----------------------------------------------------------------------------


def wait_for(master, request, awaited):
    """Somebody waits for the change `awaited`."""
    sock, events = master.ask(request)
    assert events == [Wanted(type(request).__name__.lower())]
    master.reception.decided(replace(SERVING, change=awaited))
    return sock


def test_who_waits_is_told_what_happens_and_how_it_ended(master):
    sock = wait_for(master, wire.Reload(wait=True), 4)
    master.reception.tell("reload_began", {})
    master.reception.tell("tls_failed", {"client": "x", "reason": "y"})  # of level debug
    master.reception.tell("reload_rolling", {"generation": 2})
    assert answers(sock) == [
        Phase("reload_began", "info", "Reloading: reading the configuration again"),
        Phase("reload_rolling", "info", "Reloading: starting generation 2"),
    ]
    master.reception.judge(Verdict(4, 70, "no database"))
    assert answers(sock) == [Done(70, "no database")]
    assert is_let_go(sock)


def test_a_verdict_is_for_those_who_asked_before_it(master):
    first = wait_for(master, wire.Reload(wait=True), 4)
    second = wait_for(master, wire.Reload(wait=True), 5)
    master.reception.judge(Verdict(3, 1, "of an earlier one"))
    assert answers(first) == answers(second) == []
    master.reception.judge(Verdict(4, 75, "superseded"))
    assert answers(first) == [Done(75, "superseded")]
    assert answers(second) == []
    master.reception.judge(Verdict(6, 0, ""))
    assert answers(second) == [Done(0, "")]


def test_a_verdict_may_come_with_the_decision(master):
    """decided() comes before the commands of that decision are carried out."""
    sock, _ = master.ask(wire.Upgrade(wait=True))
    master.reception.judge(Verdict(3, 1, "nobody has decided yet"))
    assert answers(sock) == []
    master.reception.decided(replace(SERVING, change=4))
    master.reception.judge(Verdict(4, 71, "cannot start the planner"))
    assert answers(sock) == [Done(71, "cannot start the planner")]


def test_who_asks_while_a_change_is_under_way_waits_for_the_next(master):
    sock, _ = master.ask(wire.Reload(wait=True))
    master.reception.decided(replace(SERVING, reload_again=True))
    master.reception.judge(Verdict(SERVING.change, 0, ""))
    assert answers(sock) == []
    master.reception.judge(Verdict(SERVING.change + 1, 0, ""))
    assert answers(sock) == [Done(0, "")]


@pytest.mark.parametrize("phase", ["leaving", "stopping"])
def test_who_asks_while_the_service_stops_need_not_wait(master, phase):
    sock = wait_for(master, wire.Reload(wait=True), 4)
    master.reception.decided(replace(SERVING, phase=phase))
    for request in (wire.Reload(wait=True), wire.Upgrade(wait=False)):
        late, events = master.ask(request)
        assert events == []
        assert answers(late) == [Done(75, "the service stops")]
    master.reception.judge(Verdict(4, 0, ""))
    assert answers(sock) == [Done(0, "")]  # that was decided before


def test_nobody_is_left_without_an_answer(path):
    master = Master(path)
    sock = wait_for(master, wire.Reload(wait=True), 4)
    master.reception.close()
    assert answers(sock) == [Done(75, "the service stops")]
    master.close()


def test_who_goes_while_he_waits_is_forgotten(master):
    before = open_fds()
    sock = wait_for(master, wire.Reload(wait=True), 4)
    sock.close()
    assert master.hear() == []
    assert open_fds() == before
    master.reception.judge(Verdict(4, 0, ""))


def test_who_waits_survives_the_master_s_exec(path):
    master = Master(path)
    sock = wait_for(master, wire.Reload(wait=True), 4)
    busy, _ = master.ask(wire.Stacks(0))
    waiting = master.reception.waiting()
    assert [awaited for _, awaited in waiting] == [4]
    kept = [(os.dup(fd), awaited) for fd, awaited in waiting]
    os.set_inheritable(kept[0][0], True)  # as over an exec
    master.reception.close()
    assert is_let_go(busy)
    successor = Master(path, kept)
    assert not os.get_inheritable(kept[0][0])
    successor.reception.tell("reload_began", {})
    successor.reception.judge(Verdict(4, 0, ""))
    assert answers(sock)[-1] == Done(0, "")
    successor.close()
    master.close()


# --- those who are slow ---------------------------------------------------------------------------


def test_who_does_not_read_is_dropped_and_holds_up_nobody(master):
    slow = wait_for(master, wire.Reload(wait=True), 4)
    quick = wait_for(master, wire.Reload(wait=True), 4)
    sentence = "x" * 60_000
    heard = 0
    with must_not_hang():
        for _ in range(QUEUE_BYTES // len(sentence) + 8):
            master.reception.tell("config_warning", {"reason": sentence})
            heard += len(answers(quick))
    assert heard == QUEUE_BYTES // len(sentence) + 8
    assert [awaited for _, awaited in master.reception.waiting()] == [4]
    assert is_let_go(slow)


def test_who_is_behind_gets_the_rest_when_he_reads(master):
    sock = wait_for(master, wire.Reload(wait=True), 4)
    sentence = "x" * 60_000
    for _ in range(6):  # more than the kernel holds for him, less than we do
        master.reception.tell("config_warning", {"reason": sentence})
    master.reception.judge(Verdict(4, 0, ""))
    octets = b""
    sock.setblocking(False)
    while not octets.endswith(wire.encode(Done(0, ""))):
        select.select([sock], [], [], 5)
        octets += sock.recv(1 << 20)
        master.hear()
    assert octets.count(b"\n") == 7
    assert is_let_go(sock)


def test_who_neither_asks_nor_goes_is_dropped_in_time(master):
    sock = master.call()
    now = time.monotonic()
    master.reception.look(now)
    assert not is_let_go(sock)
    master.reception.look(now + PATIENCE_S)
    assert is_let_go(sock)


def test_who_waits_is_waited_for(master):
    sock = wait_for(master, wire.Reload(wait=True), 4)
    master.reception.look(time.monotonic() + 1e6)
    assert not is_let_go(sock)


def test_callers_have_a_number(master):
    callers = [master.call() for _ in range(MOST_CALLERS)]
    sock = master.call()
    assert answers(sock) == [Done(75, f"there are {MOST_CALLERS} callers already")]
    callers[0].close()
    master.hear()
    late, _ = master.ask(wire.Status())
    assert answers(late)[-1] == Done(0, "")


def test_a_master_without_descriptors_does_not_spin(master, monkeypatch):
    def no_descriptor():
        raise OSError(24, "Too many open files")

    with socket.socket(socket.AF_UNIX) as sock:
        door = master.reception._door
        monkeypatch.setattr(master.reception, "_door", Door(door, no_descriptor))
        sock.connect(master.path)
        assert master.hear() == []
        assert not select.select([master.reception], [], [], 0)[0]
        monkeypatch.setattr(master.reception, "_door", door)
        master.reception.look(time.monotonic())
        sock.sendall(wire.encode(wire.Stop()))
        master.hear()
        assert master.hear() == [Wanted("stop")]


class Door:
    """A listening socket whose accept fails, as the kernel's would."""

    def __init__(self, door, accept):
        self.fileno = door.fileno
        self.accept = accept


# --- strangers ------------------------------------------------------------------------------------


def test_another_user_is_refused(master, path):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.chmod(os.path.dirname(path), 0o711)
    os.chmod(path, 0o666)  # as if an administrator had been careless
    reading, writing = os.pipe()

    def be_somebody_else():
        os.setresuid(65534, 65534, 65534)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(5)
        sock.connect(path)
        os.write(writing, b"!")
        line = b""
        while part := sock.recv(65536):
            line += part
        done = wire.decode_answer(line)
        assert done == Done(77, "user 65534 may not control this daemon")

    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            be_somebody_else()
            code = 0
        finally:
            os._exit(code)
    os.read(reading, 1)
    assert master.hear() == []
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [(r.event, r.fields) for r in master.logged] == [
        ("control_refused", {"pid": pid, "uid": 65534})
    ]
    os.close(reading)
    os.close(writing)


def test_whom_the_master_runs_as_may_control_it(master, monkeypatch):
    """A refusal of root, or of oneself, would be of no use to anybody."""
    monkeypatch.setattr(room.os, "geteuid", lambda: 12345)
    sock, _ = master.ask(wire.Status())
    expected = 0 if os.getuid() == 0 else 77
    assert answers(sock)[-1].exit_code == expected


# --- stacks ---------------------------------------------------------------------------------------


@pytest.fixture
def worker(master):
    """Gives workers to the master: a process and our end of its channel."""
    pids, channels = [], []

    def hire(number, slot):
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        pids.append(pid)
        ours, theirs = Channel.pair()
        channels.append(theirs)
        master.children[number] = Child(pid, os.pidfd_open(pid), ours, 0, slot, 1)
        return theirs

    yield hire
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    for channel in channels:
        channel.close()
    for child in master.children.values():
        os.close(child.pidfd)
        child.channel.close()


def test_stacks_are_handed_on(master, worker):
    channels = {number: worker(number, slot) for number, slot in ((5, 1), (6, 2), (9, 1))}
    sock, events = master.ask(wire.Stacks(1))
    assert events == []
    assert channels[6].receive() is None
    for number in (5, 9):
        (order, _) = channels[number].receive()
        assert isinstance(order, Dump)
        fd = sealed_memory(f"of {number}".encode())
        master.reception.dumped(number, order.ticket, [fd])
    texts = []
    lines = b""
    while b'"done"' not in lines:
        part, fds, _, _ = socket.recv_fds(sock, 65536, 4)
        lines += part
        texts += [wire.read_document(fd) for fd in fds]
    assert texts == ["of 5", "of 9"]
    assert [wire.decode_answer(line)[0] for line in lines.splitlines()] == [
        f"worker-1 (PID {master.children[5].pid})",
        f"worker-1 (PID {master.children[9].pid})",
        0,
    ]


def test_a_worker_that_does_not_answer_is_made_to(master, worker):
    worker(1, 1)
    sock, _ = master.ask(wire.Stacks(0))
    master.reception.look(time.monotonic())
    assert answers(sock) == []
    master.reception.look(time.monotonic() + ANSWER_S[Dump])
    phase, done = answers(sock)
    assert phase.event == "worker_mute"
    assert "standard error" in phase.sentence
    assert done == Done(0, "")
    assert [r.event for r in master.logged] == ["control_request", "worker_mute"]
    pid = master.children[1].pid
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -DUMP_SIGNAL


def test_a_worker_that_is_gone_is_no_trouble(master, worker):
    worker(1, 1)
    sock, _ = master.ask(wire.Stacks(1))
    os.kill(master.children[1].pid, signal.SIGKILL)
    os.waitpid(master.children[1].pid, 0)
    master.reception.look(time.monotonic() + ANSWER_S[Dump])
    assert answers(sock)[-1] == Done(0, "")


def test_there_is_no_such_worker(master):
    sock, _ = master.ask(wire.Stacks(7))
    assert answers(sock) == [Done(64, "there is no worker-7")]


def test_what_a_worker_sends_that_is_no_answer(master, worker):
    """A worker runs the application's code: it may send anything."""
    one, _ = worker(1, 1), worker(2, 2)
    sock, _ = master.ask(wire.Stacks(0))
    ticket = one.receive()[0].ticket
    before = open_fds()
    master.reception.dumped(1, ticket, [os.open("/dev/zero", os.O_RDONLY)])
    master.reception.dumped(1, ticket, [])
    master.reception.dumped(2, ticket, [sealed_memory(b"for another")])
    master.reception.dumped(1, 99, [sealed_memory(b"nobody asked")])
    assert open_fds() == before
    assert answers(sock) == []


def test_who_goes_before_the_stacks_come(master, worker):
    one = worker(1, 1)
    sock, _ = master.ask(wire.Stacks(1))
    sock.close()
    master.hear()
    before = open_fds()
    master.reception.dumped(1, one.receive()[0].ticket, [sealed_memory(b"late")])
    assert open_fds() == before
    master.reception.look(time.monotonic() + ANSWER_S[Dump])
    assert "worker_mute" not in [r.event for r in master.logged]
