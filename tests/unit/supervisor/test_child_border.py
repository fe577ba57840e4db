"""The border of a forked child: whatever happens in it, it never returns into the master's code."""

from __future__ import annotations

import os
import resource
import sys
from types import SimpleNamespace

import pytest

from granian_d.observe.scoreboard import ROWS, Scoreboard
from granian_d.supervisor import child
from granian_d.supervisor.launch import Launch
from granian_d.supervisor.os_calls import OsCalls
from granian_d.supervisor.vocabulary import Spawn, WorkerExited
from granian_d.systemd.fdstore import FdStore
from granian_d.systemd.notify import Notifier
from tests.unit.plan import specimens
from tests.unit.supervisor.processes import in_a_child, open_fds, status_of

RETURNED = 99  # a child that came back out of `fork` ends with this


def status_of_a_child_that_runs(run) -> int:
    ours = os.getpid()
    try:
        pid, pidfd = child.fork(run)
    finally:
        if os.getpid() != ours:
            os._exit(RETURNED)
    os.close(pidfd)
    return status_of(pid)


def lose_the_reader() -> None:
    """What the application has printed goes into a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    sys.stdout = os.fdopen(writer, "w")
    sys.stdout.write("last words")


def fill_the_disk() -> None:
    sys.stdout = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    sys.stdout.write("last words")


def close_the_stream() -> None:
    sys.stdout.close()


def have_no_stream() -> None:
    """As CPython does when a program is started with standard output closed."""
    sys.stdout = None


@pytest.mark.parametrize(
    "spoil", [lose_the_reader, fill_the_disk, close_the_stream, have_no_stream]
)
@pytest.mark.parametrize("code", [0, 3])
def test_an_output_that_cannot_be_flushed_does_not_bring_a_second_master(spoil, code):
    def run() -> int:
        spoil()
        return code

    assert status_of_a_child_that_runs(run) == code


def test_a_worker_that_cannot_be_watched_is_as_if_it_had_not_been_forked():
    """One descriptor is missing, that of the pidfd: the fork itself succeeds."""

    def scenario() -> None:
        held, hold = os.pipe()

        def serve(*_) -> int:
            os.close(hold)
            os.read(held, 1)  # until the test's process ends
            return 0

        runtime = SimpleNamespace(serve=serve, log=SimpleNamespace(event=lambda *_, **__: None))
        board = Scoreboard()
        notifier = Notifier({}, 0)
        calls = OsCalls(Launch(runtime, (), notifier, board, FdStore(notifier)))
        calls.plans[1] = specimens.daemon_plan()
        before = open_fds()
        allow_descriptors(2)  # the two ends of the channel
        calls.do(Spawn(1, 1, 1))
        allow_descriptors(1000)
        assert calls.news == [WorkerExited(1, "a failed fork (Too many open files)")]
        assert open_fds() == before
        with pytest.raises(ChildProcessError):  # else a worker serves that the master does not know
            os.waitpid(-1, os.WNOHANG)
        assert len([board.take() for _ in range(ROWS)]) == ROWS, "its row is free again"

    assert in_a_child(scenario) == 0


def allow_descriptors(more: int) -> None:
    """Let this process open that many descriptors more."""
    lowest = os.dup(0)
    os.close(lowest)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(lowest + more, most), most))
