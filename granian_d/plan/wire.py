"""The Plan as one line of JSON, for the pipe between planner and master.

Decoding is as strict as a schema: an unknown, missing or mistyped field raises, because it means
that the two ends are not the same release. After an upgrade in place they are not, by intention:
then `adapt` reads the plan of the generation that serves.
"""

from __future__ import annotations

import dataclasses
import json

from granian_d.errors import ConfigError
from granian_d.plan.model import DaemonPlan
from granian_d.plan.records import STRICT, Reading, build, spares_of


def encode(plan: DaemonPlan) -> str:
    """The plan as one line of JSON."""
    return json.dumps(dataclasses.asdict(plan), sort_keys=True, separators=(",", ":"))


def decode(text: str) -> DaemonPlan:
    """The plan that `encode` wrote.

    Raises:
        ConfigError: the text is not a plan of this release.
    """
    return _decode(text, STRICT)


def adapt(text: str, plan: DaemonPlan) -> DaemonPlan:
    """The plan that `encode` of another release wrote, as one of this release.

    What only the other release knows is left out; what only this one knows is as `plan` says.

    Raises:
        ConfigError: they differ in more than that.
    """
    return _decode(text, Reading(tolerant=True, spares=spares_of(plan)))


def _decode(text: str, reading: Reading) -> DaemonPlan:
    try:
        plan = build(DaemonPlan, json.loads(text), "plan", reading)
    except (ValueError, TypeError) as error:
        made = "the plan was made by another release of granian-d"
        message = f"{made} ({error}): upgrade in place to use it"
        raise ConfigError(message) from error
    assert isinstance(plan, DaemonPlan)
    return plan
