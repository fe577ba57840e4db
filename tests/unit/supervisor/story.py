"""A master, its clock, and what it has said: the language of the stories about its decisions.

story.hears(event)      feed an event; it must answer with exactly the commands that follow
story.waits(seconds)    time passes, and the loop gives a Tick a second
"""

from __future__ import annotations

from granian_d.supervisor import policy
from granian_d.supervisor.decide import decide, start
from granian_d.supervisor.vocabulary import Report, ShowHealth, Tick, Vitals
from tests.unit.plan.specimens import pool_plan

TERMS = pool_plan(workers=2)

# Worker numbers of a daemon with two workers that has been reloaded once.
ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN = range(1, 8)
FIRST, SECOND, THIRD = 1, 2, 3  # generations


class Story:
    """A master, its clock, and what it has said."""

    def __init__(self):
        self.now = 1000.0
        self.roster, self.commands = start(self.now)
        self.said = []

    def hears(self, event, *answers):
        self.roster, commands = decide(self.roster, event, self.now)
        self.said += [command for command in commands if isinstance(command, Report)]
        told = (Report, ShowHealth)
        assert [c for c in commands if not isinstance(c, told)] == list(answers)

    def waits(self, seconds, *answers, beats=None):
        """`beats`: the last heartbeats, where not every worker's is recent."""
        end = self.now + seconds
        while end - self.now > policy.TICK_S:
            self.ticks(policy.TICK_S, beats)
        self.ticks(end - self.now, beats, *answers)

    def ticks(self, seconds, beats, *answers):
        self.now += seconds
        recent = dict.fromkeys(self.roster.workers, self.now)
        beats = recent if beats is None else beats
        self.hears(Tick({n: Vitals(beat_s=beat) for n, beat in beats.items()}), *answers)

    def reported(self, event):
        """The fields of the last such report."""
        return next(dict(r.fields) for r in reversed(self.said) if r.event == event)

    def sees(self, *answers, queued=0, after=policy.TICK_S, **of_all):
        """A look at workers of which all say the same, `of_all`; who says nothing of it beats."""
        self.sees_each(
            dict.fromkeys(self.roster.workers, of_all), *answers, queued=queued, after=after
        )

    def sees_each(self, facts, *answers, queued=0, after=policy.TICK_S):
        """The same, with the facts of each worker by number."""
        self.now += after
        vitals = {
            number: Vitals(**{"beat_s": self.now, **facts.get(number, {})})
            for number in self.roster.workers
        }
        self.hears(Tick(vitals, queued), *answers)

    def goes(self, *events):
        """Events whose answers are not what the story is about; the commands, but for reports."""
        said = []
        for event in events:
            self.roster, commands = decide(self.roster, event, self.now)
            self.said += [command for command in commands if isinstance(command, Report)]
            said += [command for command in commands if not isinstance(command, Report)]
        return said
