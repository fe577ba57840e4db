"""Scenarios of reloads: those that succeed, those that must not, and what they leave behind."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos import census
from tests.process.daemon import wait_until

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

TWICE_EACH = 5  # of so many reloads one comes while another is under way
SAMPLES = 20


def sighups(stage: Stage, count: int) -> None:
    """Reloads, now and then one on the heels of another."""
    while stage.findings.events < count:
        if stage.findings.events % TWICE_EACH == TWICE_EACH - 1:
            stage.begin_reload()
            stage.daemon.signal("HUP")
            stage.settle()
        else:
            stage.expect(not (why := stage.reload()), f"the reload failed: {why}")
        stage.happened()


def _refused(stage: Stage, reason: str) -> None:
    """A reload that must fail for that reason and leave everything as it was."""
    before = set(stage.serving())
    why = stage.reload()
    stage.expect(reason in why, f"expected {reason!r} as the reason, got {why!r}")
    wait_until(lambda: set(stage.daemon.workers()) == before)
    stage.happened()


def broken_app(stage: Stage, count: int) -> None:
    """An application that cannot be imported."""
    for _ in range(count):
        stage.deploy("two", "raise RuntimeError('no database')")
        _refused(stage, "no database")


def broken_toml(stage: Stage, count: int) -> None:
    """A configuration that is none."""
    for _ in range(count):
        stage.configure(stage.config + "workers = = 2")
        _refused(stage, "app.toml:")


def hung_startup(stage: Stage, count: int) -> None:
    """An application whose start-up never ends."""
    for _ in range(count):
        stage.deploy("two", "import time; time.sleep(600)")
        _refused(stage, "was not ready in 1 s")


NEVER_READY = """
import time
open(f"importing.{os.getpid()}", "w").close()
time.sleep(600)
"""


def canary_killed(stage: Stage, count: int) -> None:
    """The first process that imports the new code is killed while it does."""
    for _ in range(count):
        stage.deploy("two", NEVER_READY)
        before = set(stage.serving())
        stage.begin_reload()
        wait_until(lambda: any(stage.directory.glob("importing.*")))
        for path in stage.directory.glob("importing.*"):
            os.kill(int(path.suffix[1:]), signal.SIGKILL)
            path.unlink()
        stage.settle()
        why = stage.daemon.messages[-1]["STATUS"].partition("last reload failed: ")[2]
        stage.expect("SIGKILL" in why, f"expected SIGKILL as the reason, got {why!r}")
        wait_until(lambda before=before: set(stage.daemon.workers()) == before)
        stage.happened()


def layout(stage: Stage, count: int) -> None:
    """Other numbers of workers, and listeners that come and go; clients use those, too."""
    path = tempfile.mktemp(prefix="gd", dir="/tmp")  # of a length that sun_path takes
    plain = stage.config.replace("port = 0", 'listen = ["127.0.0.1:0"]').replace(
        'host = "127.0.0.1"\n', ""
    )
    with_more = plain.replace(':0"]', f':0", "unix:{path}"]')
    for number in range(count):
        workers = 1 + (stage.workers + number) % 4
        adding = number % 2 == 0
        if not adding:
            stage.load.leave(path)
        text = (with_more if adding else plain).replace(
            f"workers = {stage.workers}\n", f"workers = {workers}\n"
        )
        stage.configure(text)
        stage.expect(not (why := stage.reload()), f"the reload failed: {why}")
        if adding:
            stage.load.listen(path)
        stage.expect(len(stage.serving()) == workers, f"{workers} workers wanted")
        stage.expect(Path(path).exists() == adding, "the listener's path")
        stage.happened()


def growth(stage: Stage, count: int) -> None:
    """What many reloads leave in the master."""
    samples: list[census.Cost] = []
    each = max(1, count // SAMPLES)
    for number in range(count):
        stage.expect(not (why := stage.reload()), f"the reload failed: {why}")
        stage.findings.events += 1
        if number % each == each - 1:
            wait_until(lambda: len(stage.daemon.workers()) == stage.workers)
            samples.append(census.cost(stage.daemon.pid))
    first, last = samples[len(samples) // 5], samples[-1]  # what is imported at need is, by then
    stage.expect(last.fds <= first.fds, f"descriptors {first.fds} -> {last.fds}")
    stage.expect(not last.zombies, f"{last.zombies} zombies")
    reloads = each * (len(samples) - 1 - len(samples) // 5)
    slope = (last.pss - first.pss) / max(1, reloads) * 1024
    stage.expect(slope < 64, f"{slope:.0f} bytes of PSS a reload")
    for name in ("fds", "zombies", "rss", "pss"):
        values = " ".join(str(getattr(sample, name)) for sample in samples)
        stage.findings.notes.append(f"{name}: {values}")
    stage.findings.notes.append(f"PSS grows by {slope:.1f} bytes a reload in the last four fifths")
