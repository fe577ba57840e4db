"""Plays without end on the engines, each beside the reference, until somebody can tell them apart.

    .venv/bin/python -m tests.property.engines_soak --seconds 600 --seed 1

The plays are those of test_engines.py, made by a seed each and ten times faster than hypothesis
makes them. A play that shows a difference is made as small as it can be, and printed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

from tests.wire.harness import ENGINES
from tests.wire.plays import Play, any_play, outcome, perform, two_readings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

REDUCTION_S = 60.0


def differ(engine: str, play: Play) -> bool:
    """Whether a play shows which engine it is on."""
    return perform(engine, play) != perform("pure", play)


def without_some(whole: Sequence[Any]) -> Iterator[Any]:
    """A sequence without a part of it: large parts first."""
    size = len(whole) // 2
    while size:
        for start in range(0, len(whole), size):
            yield whole[:start] + whole[start + size :]
        size //= 2
    if len(whole) == 1:
        yield whole[:0]


def smaller(play: Play) -> Iterator[Play]:
    """Plays in which less happens."""
    for events in without_some(play.events):
        yield replace(play, events=events)
    for scripts in without_some(play.scripts):
        if scripts:
            yield replace(play, scripts=scripts)
    for index, script in enumerate(play.scripts):
        for less in without_some(script):
            yield replace(play, scripts=[*play.scripts[:index], less, *play.scripts[index + 1 :]])
    for index, (event, value) in enumerate(play.events):
        if event == "feed":
            for less in without_some(value):
                events = [*play.events[:index], (event, less), *play.events[index + 1 :]]
                yield replace(play, events=events)
    if play.limits:
        yield replace(play, limits={})
    if play.high_water is not None:
        yield replace(play, high_water=None)


def reduced(engine: str, play: Play) -> Play:
    """The smallest play that still shows it, as far as it is found in a minute."""
    until = monotonic() + REDUCTION_S
    found = True
    while found and monotonic() < until:
        found = False
        for less in smaller(play):
            if differ(engine, less):
                play, found = less, True
                break
    return play


def first_difference(engine: str, play: Play) -> str:
    """What is seen of a play here and there."""
    notes, said = perform("pure", play)
    others, other_said = perform(engine, play)
    for note, other in zip(notes, others, strict=False):
        if note != other:
            return f"  pure    {note}\n  {engine}  {other}"
    return f"  pure    {notes[len(others) :]} {said!r}\n  {engine}  {others[len(notes) :]} {other_said!r}"


def check(engine: str, seed: int) -> str:
    """A difference that the play of a seed shows, "" if there is none."""
    dice = Random(seed)
    if seed % 4 == 0:
        first, second = two_readings(dice)
        if outcome(engine, first) == outcome("pure", second):
            return ""
        play = first if differ(engine, first) else second
        if not differ(engine, play):
            return f"seed {seed}: packets matter\n{first}\n{second}"
    else:
        play = any_play(dice)
        if not differ(engine, play):
            return ""
    play = reduced(engine, play)
    return f"seed {seed}:\n{play}\n{first_difference(engine, play)}"


def run(
    engine: str, seeds: Iterator[int], until: float, most: int, say: Callable[..., None]
) -> int:
    """Play until the time is over; how many differences there were."""
    plays = differences = 0
    while monotonic() < until and differences < most:
        difference = check(engine, next(seeds))
        plays += 1
        if difference:
            differences += 1
            say(difference, flush=True)
    say(f"{engine}: {plays} plays, {differences} differences")
    return differences


def main() -> None:
    """The command of the head of this file."""
    parser = argparse.ArgumentParser(description="Tell the engines apart.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first play")
    parser.add_argument("--most", type=int, default=5, help="differences, then stop")
    chosen = parser.parse_args()
    others = [engine for engine in ENGINES if engine != "pure"]
    if not others:
        parser.exit(1, "there is no other engine than the reference\n")
    found = 0
    for engine in others:
        seeds = iter(range(chosen.seed, 2**63))
        found += run(engine, seeds, monotonic() + chosen.seconds / len(others), chosen.most, print)
    parser.exit(bool(found))


if __name__ == "__main__":
    main()
