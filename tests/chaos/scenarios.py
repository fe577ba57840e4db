"""The table of scenarios: what happens, how often, in which set-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.chaos import changes, deaths, reloads
from tests.chaos.stage import Findings, Stage

if TYPE_CHECKING:
    from collections.abc import Callable


class Scenario(NamedTuple):
    """One row.

    Attributes:
        title: what happens.
        play: makes it happen so many times.
        count: how often, and how often when it shall be quick.
        more: lines of the configuration.
        preload: it is played with `preload = true`, too.
        workers: it is played with each of these numbers.
        light: it is loaded lightly.
        stream_s: what workers that leave have for WebSockets; a stop takes most of it.
    """

    title: str
    play: Callable[[Stage, int], None]
    count: tuple[int, int]
    more: str = ""
    preload: bool = False
    workers: tuple[int, ...] = (1, 4)
    light: bool = False
    stream_s: int = 12


# Workers that drain count towards the surge: with more room, others need not wait for them.
ROOM = "surge = 8\n"
IMPATIENT = "workers_startup_timeout = 1"

SCENARIOS: dict[str, Scenario] = {
    "sighup": Scenario("SIGHUP", reloads.sighups, (100, 2), preload=True),
    "app": Scenario("reload to a broken application", reloads.broken_app, (30, 2), preload=True),
    "toml": Scenario("reload to a broken TOML file", reloads.broken_toml, (30, 2)),
    "hang": Scenario(
        "reload to a start-up that hangs", reloads.hung_startup, (30, 1), IMPATIENT, preload=True
    ),
    "canary": Scenario(
        "reload whose canary gets SIGKILL", reloads.canary_killed, (30, 2), preload=True
    ),
    "layout": Scenario("reload with other workers and listeners", reloads.layout, (30, 2)),
    "worker": Scenario("SIGKILL of a worker", deaths.worker_killed, (30, 2), preload=True),
    "requests": Scenario(
        "recycling by requests", changes.recycling, (60, 2), ROOM + "workers_max_requests = 2000"
    ),
    "lifetime": Scenario(
        "recycling by lifetime", changes.recycling, (40, 2), ROOM + "workers_lifetime = 2"
    ),
    "memory": Scenario(
        "recycling by PSS",
        changes.recycling_by_memory,
        (20, 1),
        ROOM + "workers_max_pss = 60\nrss_sample_interval = 1",
    ),
    "upgrade": Scenario("upgrade in place", changes.upgrades, (10, 1)),
    "restart": Scenario(
        "restart through the fd store", deaths.master_restarted, (10, 1), stream_s=5
    ),
    "master": Scenario("SIGKILL of the master, fd store", deaths.master_killed, (10, 1)),
    "growth": Scenario(
        "reload, lightly loaded", reloads.growth, (1000, 8), workers=(1,), light=True
    ),
}


def play(scenario: Scenario, workers: int, preload: bool, quick: bool) -> Findings:
    """Play it once in one set-up."""
    more = scenario.more + ("\npreload = true" if preload else "")
    stage = Stage(workers, more, light=scenario.light, stream_s=scenario.stream_s)
    try:
        with stage:
            scenario.play(stage, scenario.count[quick])
    except AssertionError:
        pass  # the stage has noted it among its findings
    return stage.findings
