"""The numbers behind the master's decisions, each with its reason. Pure functions of numbers."""

from __future__ import annotations

from typing import Final

TICK_S: Final = 1.0  # heartbeats, STATUS and the watchdog are looked at once a second
PAUSE_S: Final = 2.5  # between two ticks: the master itself did not run (SIGSTOP, a frozen cgroup)
PLANNER_TIMEOUT_S: Final = 60.0  # name resolution may be slow; nothing else in it is
DUMP_GRACE_S: Final = 2.0  # SIGABRT to SIGKILL: writing the stacks of a few threads
REAP_GRACE_S: Final = 5.0  # SIGKILL to giving up: only a process stuck in the kernel takes it
STABLE_S: Final = 10.0  # a worker that served that long owes its death to something new
FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 30.0


EXIT_BEREFT: Final = 1  # a worker has died that is not to be replaced: as Granian exits then
DEATHS: Final = 5  # that are remembered, for whoever looks after the service later
UNWANTED: Final = "it is not wanted any more"

# Under pressure the kernel tells every two seconds; to look for garbage takes a worker some 50 ms.
TRIM_S: Final = 10.0
SHORT_S: Final = 60.0  # after the last time that it told, no worker is added for the load

# A loop that is quicker than this to come round is at work, whatever one of its requests does.
BEATING_S: Final = 3.0

# The number of workers follows the load: quickly up, slowly down. One more is started when the
# workers are this busy, or what they should do waits that long, for two looks in a row; one less
# when the others would be less busy than that for a minute.
BUSY: Final = 0.8
LAG_S: Final = 0.25
CALM: Final = 0.5
HOT_S: Final = 2.0
CALM_S: Final = 60.0

# Multiples of it modulo 1 are spread evenly however many there are (the golden ratio).
_SPREAD: Final = 0.618033988749895


def share_of(number: int, most: float) -> float:
    """A part of `most` for each number, evenly spread: jitter that a test can foretell."""
    return most * (number * _SPREAD % 1.0)


def respawn_delay_s(deaths: int) -> float:
    """How long a slot stays empty after its `deaths`-th death in a row.

    The first is answered at once: most deaths are single, and every moment costs capacity.
    """
    if deaths <= 1:
        return 0.0
    return min(FIRST_DELAY_S * float(2 ** min(deaths - 2, 16)), LONGEST_DELAY_S)
