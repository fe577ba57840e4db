"""What one program of the master leaves to the next, which may be of another release."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from granian_d.control.channel import sealed_memory
from granian_d.errors import DaemonError
from granian_d.plan import encode
from granian_d.supervisor import handover as handovers
from granian_d.supervisor import roster as rosters
from granian_d.supervisor.handover import FORMAT, Handover, HeldGroup, Kin, Passed
from granian_d.supervisor.roster import Mold, Outcome, Roster, Setback, Worker
from tests.unit.plan import specimens

PLAN = specimens.daemon_plan(specimens.tcp())


def of_kind(kind: Any) -> st.SearchStrategy[Any]:
    """Everything that fits an annotation of the roster."""
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind, localns=handovers._NAMES)
        return st.builds(kind, **{f.name: of_kind(hints[f.name]) for f in dataclasses.fields(kind)})
    arguments = get_args(kind)
    if get_origin(kind) is Mapping:
        return st.dictionaries(of_kind(arguments[0]), of_kind(arguments[1]), max_size=2)
    if get_origin(kind) is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(of_kind(arguments[0]), max_size=2).map(tuple)
        return st.tuples(*map(of_kind, arguments))
    if get_origin(kind) is Literal:
        return st.sampled_from(arguments)
    if arguments:
        return st.one_of([of_kind(option) for option in arguments])
    if kind is float:
        return st.floats(allow_nan=False)
    if kind is str:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    return st.from_type(kind)


def through(handover: Handover, plan=None, change=lambda state: None) -> Handover:
    """What the next program reads, if `change` is what another release wrote differently."""
    fd = handovers.write(handover)
    try:
        state = json.loads(os.pread(fd, 1 << 24, 0))
    finally:
        os.close(fd)
    change(state)
    fd = sealed_memory(json.dumps(state).encode())
    try:
        return handovers.read(fd, plan)
    finally:
        os.close(fd)


@pytest.fixture
def handover():
    roster = Roster(
        phase="serving",
        committed=3,
        terms={3: PLAN.pool},
        workers={5: Worker(5, 1, 3, "ready", rosters.NEVER, ready_at=7.5)},
        molds={4: Mold(4, 3, "ready", rosters.NEVER)},
        setbacks={1: Setback(1, 9.0)},
        outcome=Outcome(2, 1.0, 2.0, 0, ""),
        last_worker=5,
    )
    return Handover(
        format=FORMAT,
        version="0.0.9",
        pid=7,
        roster=roster,
        generation=3,
        kin=(Kin(number=5, pid=50, channel=9, row=0, slot=1, generation=3),),
        plans={3: encode(PLAN)},
        listeners={"tcp:127.0.0.1:0": (6,)},
        inodes={"/run/app.sock": (1, 2)},
        passed=(Passed(name="http", fd=3),),
        scoreboard=4,
        pid_file="",
    )


@settings(max_examples=50, deadline=None)
@given(of_kind(Handover).map(lambda one: dataclasses.replace(one, format=FORMAT, plan="")))
def test_everything_comes_back_as_it_was(handover):
    assert through(handover) == handover


def test_all_descriptors_are_named(handover):
    groups = (HeldGroup(key="tcp:127.0.0.1:0", sockets=(7, 8), shared=False),)
    assert sorted(handover.descriptors) == [3, 4, 6, 9]
    assert sorted(dataclasses.replace(handover, groups=groups).descriptors) == [3, 4, 6, 7, 8, 9]


def test_an_older_release_knew_less(handover):
    """Whatever has a default may be missing; the rest of the roster is there as it was."""

    def change(state):
        for record, kind in (
            (state, Handover),
            (state["roster"], Roster),
            (state["roster"]["workers"]["5"], Worker),
            (state["roster"]["molds"]["4"], Mold),
            (state["kin"][0], Kin),
        ):
            for field in dataclasses.fields(kind):
                if field.name in ("roster", "workers", "molds", "terms", "phase", "committed"):
                    continue
                if field.default is not dataclasses.MISSING:
                    del record[field.name]
            record["of_yesterday"] = [1]
        del state["roster"]["terms"]["3"]["surge"]

    found = through(handover, PLAN, change)
    assert found.roster == Roster(
        phase="serving",
        committed=3,
        terms={3: PLAN.pool},
        workers={5: Worker(5, 1, 3, "ready", rosters.NEVER)},
        molds={4: Mold(4, 3, "ready", rosters.NEVER)},
        setbacks={1: Setback(1, 9.0)},
    )


def test_the_plan_of_the_check_stands_in_for_what_is_missing(handover):
    def change(state):
        del state["roster"]["terms"]["3"]["surge"]

    with pytest.raises(DaemonError, match="surge is missing"):
        through(handover, None, change)
    checked = dataclasses.replace(handover, plan=encode(PLAN))
    assert through(checked, None, change).roster.terms == {3: PLAN.pool}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state.update(format=FORMAT + 1), "it has format"),
        (lambda state: state["roster"].update(phase="dreaming"), "phase"),
        (lambda state: state.pop("roster"), "roster is missing"),
        (lambda state: state.pop("version"), "version"),
        (lambda state: state.update(scoreboard="4"), "scoreboard"),
    ],
)
def test_what_cannot_be_gone_on_from_is_refused(handover, change, reason):
    with pytest.raises(DaemonError, match=reason) as caught:
        through(handover, PLAN, change)
    assert "restart" in str(caught.value)


@pytest.mark.parametrize("octets", [b"", b"[]", b"{}", b"\xff", b"null"])
def test_what_is_no_handover_is_refused(octets):
    fd = sealed_memory(octets)
    try:
        with pytest.raises(DaemonError, match="cannot take over"):
            handovers.read(fd)
    finally:
        os.close(fd)


def test_a_plan_that_cannot_be_read_is_left_out(handover):
    text = json.loads(encode(PLAN))
    text["listeners"][0]["backlog"] = "many"
    plans = {3: encode(PLAN), 4: json.dumps(text)}
    found = dataclasses.replace(handover, plan=encode(PLAN), plans=plans)
    assert handovers.plans_of(found) == {3: PLAN}
    assert handovers.plans_of(dataclasses.replace(found, plan="")) == {3: PLAN}


def test_secrets_are_not_shown(handover):
    told = dataclasses.replace(handover, tickets="s3cret", quic_key="s3cret")
    assert "s3cret" not in repr(told)
