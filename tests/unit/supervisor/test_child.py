"""Forking and reaping, with real processes."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import select
import signal
import sys

import pytest

from granian_d.supervisor import child
from granian_d.supervisor.vocabulary import SIGNALS
from tests.unit.supervisor.processes import PATIENCE_S, in_a_child, open_fds


def ended(pidfd: int) -> None:
    """Wait for a child's end, and leave it to be reaped."""
    assert select.select([pidfd], [], [], PATIENCE_S)[0]


def outcome(run) -> str:
    pid, pidfd = child.fork(run)
    ended(pidfd)
    os.close(pidfd)
    return child.reap(pid)


def leave(code):
    raise SystemExit(code)


def fail():
    raise ValueError("told on standard error")


def abort():
    faulthandler.disable()  # pytest's own would tell the whole stack
    os.abort()


@pytest.mark.parametrize(
    ("run", "how"),
    [
        (lambda: 0, "exit status 0"),
        (lambda: 3, "exit status 3"),
        (lambda: leave(4), "exit status 4"),
        (lambda: leave(None), "exit status 0"),
        (lambda: leave("a word"), "exit status 1"),
        (fail, "exit status 70"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
        (abort, "SIGABRT"),
    ],
)
def test_how_a_child_ends(run, how, capfd):
    assert outcome(run) == how


def test_a_fault_in_a_child_is_told_and_stays_there(capfd):
    outcome(fail)
    assert "ValueError: told on standard error" in capfd.readouterr().err


def test_what_a_child_prints_gets_out(capfd):
    outcome(lambda: print("spoken", end="") or 0)
    assert capfd.readouterr().out == "spoken"


def test_a_child_ignores_the_signals_of_the_master():
    """What the terminal sends to the group is meant for the master. Not SIG_IGN: that would be
    passed on to the programs that an application starts."""

    def run():
        for name in SIGNALS:
            os.kill(os.getpid(), getattr(signal, f"SIG{name}"))
        handlers = [signal.getsignal(getattr(signal, f"SIG{name}")) for name in SIGNALS]
        return int(any(handler in (signal.SIG_IGN, signal.SIG_DFL) for handler in handlers))

    assert outcome(run) == "exit status 0"


def test_a_child_does_not_write_to_the_wakeup_pipe_of_the_master():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    before = signal.set_wakeup_fd(writing)
    try:
        assert outcome(lambda: os.kill(os.getpid(), signal.SIGTERM) or 0) == "exit status 0"
    finally:
        signal.set_wakeup_fd(before)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("blocked", [set(), {signal.SIGUSR1}])
def test_the_signal_mask_is_as_it_was_on_both_sides(blocked):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        expected = signal.pthread_sigmask(signal.SIG_BLOCK, ())

        def run():
            return int(signal.pthread_sigmask(signal.SIG_BLOCK, ()) != expected)

        assert outcome(run) == "exit status 0"
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == expected
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_strangers_are_reaped_and_ours_are_left():
    """As PID 1 (here: a subreaper) we inherit orphans, and nobody else will reap them."""

    def live():
        become_subreaper()
        reading, writing = os.pipe()
        ours, our_pidfd = child.fork(lambda: 0)
        ended(our_pidfd)
        parent = os.fork()
        if parent == 0:
            orphan = os.fork()
            if orphan == 0:
                os.close(reading)
                os._exit(0)  # its end of the pipe closes with it
            os.write(writing, b"%d" % orphan)
            os._exit(0)
        os.close(writing)
        orphan = int(os.read(reading, 20))
        assert os.read(reading, 1) == b""  # both have ended
        for stranger in (parent, orphan):
            os.waitid(os.P_PID, stranger, os.WEXITED | os.WNOWAIT)
        child.reap_strangers({ours})
        assert child.reap(ours) == "exit status 0"  # how it ended has not been thrown away
        # The kernel shows the eldest first: strangers behind one of ours wait until it is reaped.
        child.reap_strangers(())
        for stranger in (parent, orphan):
            assert not os.path.exists(f"/proc/{stranger}")

    assert in_a_child(live) == 0


def test_a_stranger_before_ours_is_reaped():
    def live():
        stranger, stranger_pidfd = child.fork(lambda: 0)
        ended(stranger_pidfd)
        ours, our_pidfd = child.fork(lambda: 0)
        ended(our_pidfd)
        child.reap_strangers({ours})
        assert not os.path.exists(f"/proc/{stranger}")
        assert child.reap(ours) == "exit status 0"

    assert in_a_child(live) == 0


def test_nobody_to_reap():
    assert in_a_child(lambda: child.reap_strangers(())) == 0

    def with_a_living_child():
        pid, pidfd = child.fork(lambda: signal.pause() or 0)
        child.reap_strangers(())
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        ended(pidfd)
        assert child.reap(pid) == "SIGKILL"

    assert in_a_child(with_a_living_child) == 0


def become_subreaper() -> None:
    assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER


# --- the planner -------------------------------------------------------------------------------------


def planner(code: str) -> child.PlannerProcess:
    return child.start_planner(lambda fd: [sys.executable, "-c", f"FD = {fd}\n{code}"])


def test_the_answer_of_a_planner_is_read_when_it_has_ended():
    before = open_fds()
    process = planner("import os; os.write(FD, b'answer ' + b'x' * 900_000)")
    ended(process.pidfd)
    process.read()
    assert bytes(process.answer) == b"answer " + b"x" * 900_000
    assert child.reap(process.pid) == "exit status 0"
    process.close()
    assert open_fds() == before


def test_a_planner_that_says_nothing_is_not_waited_for():
    process = planner("import signal; signal.pause()")
    process.read()
    assert process.answer == b""
    signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
    ended(process.pidfd)
    assert child.reap(process.pid) == "SIGKILL"
    process.close()


def test_a_planner_starts_with_plain_signals():
    """CPython ignores SIGPIPE and SIGXFSZ; a program expects not to find them ignored."""
    code = (
        "import os; text = open('/proc/self/status').read();"
        "os.write(FD, text.partition('SigBlk:')[2].split()[0].encode())"
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        process = planner(code)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    ended(process.pidfd)
    process.read()
    assert int(bytes(process.answer), 16) == 0
    child.reap(process.pid)
    process.close()


def test_a_planner_that_cannot_be_started_leaks_nothing():
    before = open_fds()
    with pytest.raises(FileNotFoundError):
        child.start_planner(lambda fd: ["/nowhere/python"])
    assert open_fds() == before
