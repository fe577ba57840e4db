"""Scenarios of workers that are replaced for their age, and of a master that is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.process.daemon import wait_until

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

WATCHED = 100  # requests between two looks
PATIENCE_S = 40.0  # until one more worker is replaced


def recycling(stage: Stage, count: int) -> None:
    """Workers are replaced, one after the other, for a reason that the configuration gives."""
    before, last = stage.daemon.log.count("Started worker-"), time.monotonic()
    while stage.findings.events < count:
        stage.load.more(WATCHED)
        events = stage.daemon.log.count("Started worker-") - before
        if events > stage.findings.events:
            stage.findings.events, last = events, time.monotonic()
        assert time.monotonic() < last + PATIENCE_S, "no worker is replaced"
    stage.expect("Unexpected exit" not in stage.daemon.log, "a worker died")
    wait_until(lambda: len(stage.daemon.workers()) >= stage.workers)


BALLAST_BYTES = 1 << 14


def recycling_by_memory(stage: Stage, count: int) -> None:
    """As above; the application keeps some memory for each request."""
    stage.deploy("one", f"BALLAST_BYTES = {BALLAST_BYTES}")
    stage.expect(not (why := stage.reload()), f"the reload failed: {why}")
    recycling(stage, count)


def upgrades(stage: Stage, count: int) -> None:
    """The master becomes the granian-d on disk, which is the same one, in the same process."""
    pid = stage.daemon.pid
    for _ in range(count):
        before = set(stage.serving())
        done = stage.daemon.ask("upgrade", "--wait").finish()
        stage.expect(done.code == 0, f"exit status {done.code}: {done.text}")
        stage.expect(not before & set(stage.serving()), "an old worker serves on")
        stage.happened()
    stage.expect(stage.daemon.pid == pid and stage.daemon.process.poll() is None, "another pid")
