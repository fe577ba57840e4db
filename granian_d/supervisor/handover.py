"""What the master hands to its next program when it upgrades in place: the roster, and the
descriptors that stay open, as one JSON object in a file in memory.

The two programs may be of different releases, so it is read with tolerance: what nobody knows is
ignored, what is missing takes its default or what the new plan says. `FORMAT` counts the changes
that no tolerance bridges; a state of another format is refused by the check, before anything has
changed. Times need no care: CLOCK_MONOTONIC goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from granian_d import plan as plans
from granian_d.control.channel import sealed_memory
from granian_d.errors import ConfigError, DaemonError
from granian_d.plan.records import Reading, build, spares_of
from granian_d.supervisor import states, vocabulary
from granian_d.supervisor.roster import Roster  # noqa: TC001 - `build` looks at it

if TYPE_CHECKING:
    from granian_d.plan import DaemonPlan

FORMAT: Final = 1
VARIABLE: Final = "GRANIAN_D_HANDOVER"  # of the environment: the descriptor of what is handed over
MOST_BYTES: Final = 1 << 24  # far beyond any: 512 workers are 0.5 MB

# What the annotations of a roster mention.
_NAMES: Final = {**vars(plans), **vars(states), **vars(vocabulary), "Mapping": Mapping}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kin:
    """A worker or a mold; it stays a child of this process."""

    number: int
    pid: int  # 0: its mold has not forked it yet
    channel: int  # descriptor of the master's end
    row: int  # of the scoreboard; -1 for none
    slot: int  # 0: a mold
    generation: int
    seat: int = -1  # at which it reads datagrams; -1 for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A socket that the service manager had passed."""

    name: str
    fd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldGroup:
    """UDP sockets of one address."""

    key: str  # of the listener's plan
    sockets: tuple[int, ...]  # descriptors, by seat
    shared: bool  # all workers read all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody at the control socket who waits for the end of a change."""

    fd: int
    change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """All of it. A field that is added needs a default: an older release does not write it."""

    format: int
    version: str  # of the granian-d that wrote it
    pid: int  # for whom it is meant
    roster: Roster
    generation: int  # the last that was made
    kin: tuple[Kin, ...]
    plans: Mapping[int, str]  # as plan.encode writes them, by generation
    listeners: Mapping[str, tuple[int, ...]]  # descriptors by the key of the plan
    inodes: Mapping[str, tuple[int, int]]  # device and inode of unix sockets, by path
    passed: tuple[Passed, ...]
    scoreboard: int
    pid_file: str
    plan: str = ""  # that the check has made of the configuration; "" before it
    tickets: str = field(default="", repr=False)  # as certificates.encode_tickets writes them
    callers: tuple[Caller, ...] = ()
    quic_key: str = field(default="", repr=False)  # 64 hexadecimal digits; "": nobody has HTTP/3
    groups: tuple[HeldGroup, ...] = ()

    @property
    def descriptors(self) -> list[int]:
        """All that must stay open."""
        fds = [fd for held in self.listeners.values() for fd in held]
        fds += [one.channel for one in self.kin]
        fds += [one.fd for one in self.passed]
        fds += [one.fd for one in self.callers]
        fds += [fd for group in self.groups for fd in group.sockets]
        return [*fds, self.scoreboard]


def write(handover: Handover) -> int:
    """A descriptor of a sealed file in memory that holds it.

    Raises:
        OSError: the kernel gives none.
    """
    return sealed_memory(json.dumps(asdict(handover)).encode("ascii"))


def read(fd: int, plan: DaemonPlan | None = None) -> Handover:
    """What `write` of this or another release wrote; `fd` stays open.

    Args:
        fd: of the file.
        plan: made by this release: what it says stands in for what the other one did not know.
            None: the one in the handover, if it has one.

    Raises:
        DaemonError: this release cannot go on from it.
    """
    version = "another release"
    try:
        state = json.loads(os.pread(fd, MOST_BYTES, 0))
        version = f"granian-d {state['version']}"
        if state["format"] != FORMAT:
            raise ValueError(f"it has format {state['format']}")
        if plan is None and state.get("plan"):
            plan = plans.decode(state["plan"])
        spares: dict[type, Any] = spares_of(plan) if plan is not None else {}
        reading = Reading(names=_NAMES, tolerant=True, spares=spares)
        found: Handover = build(Handover, state, "state", reading)
    except (OSError, ValueError, TypeError, KeyError, ConfigError) as error:
        raise DaemonError(f"cannot take over from {version} ({error}): restart it") from error
    return found


def plans_of(handover: Handover) -> dict[int, DaemonPlan]:
    """The plans in it, as far as this release can read them.

    A generation without one lives on and cannot be added to: the next one will replace it.
    """
    found = {}
    today = plans.decode(handover.plan) if handover.plan else None
    for generation, text in handover.plans.items():
        try:
            plan = plans.decode(text) if today is None else plans.adapt(text, today)
        except ConfigError:
            continue
        found[generation] = plan
    return found
