"""The numbers, and when the master wakes by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.supervisor.policy import FIRST_DELAY_S, LONGEST_DELAY_S, respawn_delay_s
from granian_d.supervisor.roster import NEVER, Roster, Setback, Worker, next_wake
from tests.unit.plan.specimens import pool_plan

TERMS = pool_plan(workers=2, surge=1)


def test_the_first_death_costs_nothing_the_second_something():
    assert [respawn_delay_s(deaths) for deaths in (0, 1, 2, 3)] == [
        0.0,
        0.0,
        FIRST_DELAY_S,
        2 * FIRST_DELAY_S,
    ]


@given(st.integers(0, 10**9))
def test_more_deaths_never_wait_less_and_nobody_waits_for_ever(deaths):
    assert respawn_delay_s(deaths) <= respawn_delay_s(deaths + 1) <= LONGEST_DELAY_S


def test_the_longest_delay_is_reached():
    assert respawn_delay_s(20) == LONGEST_DELAY_S


def worker(number, slot=1, state="ready", deadline=NEVER):
    return Worker(number, slot, 1, state, deadline)


SERVING = Roster(phase="serving", committed=1, terms={1: TERMS})


def test_who_has_nothing_to_wait_for_does_not_wake():
    assert next_wake(Roster(), 0.0) == NEVER
    assert next_wake(replace(SERVING, workers={1: worker(1)}), 0.0) == NEVER


@pytest.mark.parametrize(
    ("changes", "wake"),
    [
        ({"planning_until": 5.0}, 5.0),
        ({"stop_by": 6.0}, 6.0),
        ({"workers": {1: worker(1, deadline=7.0), 2: worker(2, deadline=4.0)}}, 4.0),
        ({"planning_until": 5.0, "workers": {1: worker(1, deadline=4.5)}}, 4.5),
        ({"setbacks": {1: Setback(2, 8.0)}}, 8.0),
        ({"setbacks": {1: Setback(2, 8.0)}, "workers": {1: worker(1)}}, NEVER),
        ({"setbacks": {1: Setback(2, 8.0)}, "workers": {1: worker(1, state="starting")}}, NEVER),
        ({"setbacks": {1: Setback(2, 8.0)}, "workers": {1: worker(1, state="draining")}}, 8.0),
        ({"setbacks": {1: Setback(2, 8.0), 2: Setback(2, 3.0)}, "workers": {2: worker(2, 2)}}, 8.0),
        ({"setbacks": {1: Setback(2, 8.0)}, "phase": "stopping"}, NEVER),
    ],
)
def test_the_earliest_of_what_is_waited_for(changes, wake):
    assert next_wake(replace(SERVING, **changes), 0.0) == wake


def test_a_pause_that_is_over_wakes_nobody():
    """The slot lacks room then, and an exit makes some; a time in the past would be a busy loop."""
    roster = replace(SERVING, setbacks={1: Setback(2, 8.0)})
    assert next_wake(roster, 7.9) == 8.0
    assert next_wake(roster, 8.0) == NEVER
