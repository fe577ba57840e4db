"""The engines agree: whatever a peer, an application and time do, nobody can tell one from another.

The pure engine is the reference. `tests/wire/plays.py` makes up connections and says what is seen
of them; hypothesis throws its dice, and makes them small when somebody can tell. Many more of
them, without hypothesis and ten times as fast:

    .venv/bin/python -m tests.property.engines_soak --seconds 600 --seed 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.property.engines_soak import check, differ
from tests.wire.harness import ENGINES
from tests.wire.plays import any_play, outcome, two_readings

if TYPE_CHECKING:
    from random import Random

OTHERS = [engine for engine in ENGINES if engine != "pure"]
SOME = settings(max_examples=500, suppress_health_check=[HealthCheck.data_too_large])
DICE = st.randoms(use_true_random=False)


@pytest.mark.parametrize("engine", OTHERS)
@given(dice=DICE)
@SOME
def test_step_by_step(engine: str, dice: Random) -> None:
    play = any_play(dice)
    note(repr(play))
    assert not differ(engine, play)


@pytest.mark.parametrize("engine", OTHERS)
@given(dice=DICE)
@SOME
def test_whatever_the_packets(engine: str, dice: Random) -> None:
    first, second = two_readings(dice)
    note(f"{first!r}\n{second!r}")
    assert outcome(engine, first) == outcome("pure", second)


@pytest.mark.parametrize("engine", OTHERS)
def test_the_same_plays_each_time(engine: str) -> None:
    for seed in range(6000):
        difference = check(engine, seed)
        assert not difference, difference
