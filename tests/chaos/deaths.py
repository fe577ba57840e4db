"""Scenarios of violence: what a process held is lost with it, and nothing else."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

from tests.chaos import census
from tests.process.daemon import wait_until

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

ORPHANS_S = 1.0  # for the workers of a master that was killed


def worker_killed(stage: Stage, count: int) -> None:
    """SIGKILL of a random worker, of one that drains, too; a reload behind it.

    The reload makes all workers new: without it the back-off of a slot whose worker keeps dying
    would be what is measured.
    """
    choose = random.Random(count)
    while stage.findings.events < count:
        victim = choose.choice([pid for pid in stage.daemon.workers() if census.generation(pid)])
        serves = victim in stage.serving()
        started = stage.daemon.log.count("Started worker-")
        with census.stopped([victim]):
            stage.hold([victim])
            os.kill(victim, signal.SIGKILL)
        wait_until(lambda victim=victim: victim not in stage.daemon.workers())
        if serves:
            stage.daemon.wait_for_log("Started worker-", started + 1)
        stage.happened()
        stage.expect(not (why := stage.reload()), f"the reload failed: {why}")


def master_killed(stage: Stage, count: int) -> None:
    """SIGKILL of the master; its manager starts it again with the descriptors that it keeps."""
    longest_s = 0.0
    for _ in range(count):
        master, children = stage.daemon.pid, stage.daemon.workers()
        with census.stopped([master, *children]):
            stage.hold(children)
            os.kill(master, signal.SIGKILL)
            killed = time.monotonic()
            wait_until(lambda children=children: not any(map(_lives, children)))
            longest_s = max(longest_s, time.monotonic() - killed)
        stage.daemon.wait()
        stage.daemon.start_again()
        stage.happened()
    stage.expect(longest_s <= ORPHANS_S, f"workers lived on for {longest_s:.2f} s")
    stage.findings.notes.append(f"workers were gone {longest_s * 1e3:.0f} ms after SIGKILL at most")


def master_restarted(stage: Stage, count: int) -> None:
    """A stop and a start, as `systemctl restart` has it.

    A stop closes idle connections at once: requests that were sent on them afterwards count apart.
    """
    for _ in range(count):
        workers = stage.daemon.workers()
        with census.stopped([stage.daemon.pid, *workers]):
            stage.hold(workers, later_only=True)
            stage.daemon.signal("TERM")
        code = stage.daemon.wait()
        stage.expect(code == 0, f"exit status {code}")
        stage.daemon.start_again()
        stage.happened()


def _lives(pid: int) -> bool:
    return census.state(pid) not in {"", "Z"}
