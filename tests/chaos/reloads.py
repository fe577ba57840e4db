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
    from collections.abc import Callable

    from tests.chaos.stage import Stage

UNREACHABLE = (69, 75)  # granianctl has not reached the daemon, or not waited long enough
TWICE_EACH = 5  # of so many reloads one comes while another is under way
SAMPLES = 20
# The allocator's arenas and the interpreter's caches fill during the first few hundred reloads.
SETTLED = 500
MOST_BYTES = 512  # of the master's memory, a reload, after that


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


def _refused(stage: Stage, reason: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    """A reload that must fail for that reason and leave everything as it was."""
    before = set(stage.daemon.workers())  # and the mold
    asked = stage.daemon.ask("reload", "--wait")
    meanwhile()
    answer = asked.finish()
    stage.expect(answer.code not in {0, *UNREACHABLE}, f"exit status {answer.code}")
    stage.expect(reason in answer.text, f"expected {reason!r} as the reason, got {answer.text!r}")
    wait_until(lambda: set(stage.daemon.workers()) == before)
    stage.happened()
    stage.expect(stage.load.versions == {"one"}, f"answered by {stage.load.versions}")


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

    def kill() -> None:
        wait_until(lambda: any(stage.directory.glob("importing.*")))
        for path in stage.directory.glob("importing.*"):
            os.kill(int(path.suffix[1:]), signal.SIGKILL)
            path.unlink()

    for _ in range(count):
        stage.deploy("two", NEVER_READY)
        _refused(stage, "SIGKILL", kill)


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
    first, last = samples[len(samples) // 2], samples[-1]
    stage.expect(last.fds <= first.fds, f"descriptors {first.fds} -> {last.fds}")
    stage.expect(not last.zombies, f"{last.zombies} zombies")
    reloads = each * (len(samples) - 1 - len(samples) // 2)
    slope = (last.rss - first.rss) / max(1, reloads) * 1024
    settled = count >= SETTLED
    stage.expect(not settled or slope < MOST_BYTES, f"{slope:.0f} bytes of RSS a reload")
    values = [" ".join(str(sample[index]) for sample in samples) for index in range(4)]
    stage.findings.notes += [
        f"{name} of the master, each {each} reloads: {row}"
        for name, row in zip(("fds", "zombies", "RSS in KiB", "PSS in KiB"), values, strict=True)
    ]
    stage.findings.notes.append(f"RSS of the master: {slope:.0f} bytes a reload")
