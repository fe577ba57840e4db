"""The plan on its way from the planner to the master: nothing lost, nothing overlooked."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.errors import ConfigError
from granian_d.plan import (
    DaemonPlan,
    ForwardingPlan,
    Http3Limits,
    Limits,
    ListenerPlan,
    MetricsPlan,
    QuicPlan,
    StaticPlan,
    TlsPlan,
    WatchPlan,
    WebSocketLimits,
    decode,
    encode,
)
from tests.unit.plan import specimens


def of_kind(kind: Any) -> st.SearchStrategy[Any]:
    """Everything that fits an annotation of the plan."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{field.name: of_kind(hints[field.name]) for field in fields(kind)})
    if get_origin(kind) is tuple and get_args(kind)[-1] is not Ellipsis:
        return st.tuples(*map(of_kind, get_args(kind)))
    if get_origin(kind) is tuple:
        return st.lists(of_kind(get_args(kind)[0]), max_size=3).map(tuple)
    if get_origin(kind) is UnionType:
        return st.one_of([of_kind(option) for option in get_args(kind)])
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    return st.from_type(kind)


@given(of_kind(DaemonPlan))
def test_every_plan_comes_back_as_it_was(plan):
    line = encode(plan)
    assert "\n" not in line
    assert decode(line) == plan
    assert hash(decode(line)) == hash(plan)


def record_paths(kind: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where in the JSON each record of the plan stands; of a list, its first."""
    paths = [path]
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            paths += record_paths(hint, (*path, name))
        elif get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
            paths += record_paths(get_args(hint)[0], (*path, name, 0))
    return paths


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def hint_of(path: tuple[str | int, ...]) -> Any:
    kind: Any = DaemonPlan
    for step in path:
        kind = get_args(kind)[0] if step == 0 else get_type_hints(kind)[step]
    return kind


@pytest.fixture
def record():
    return json.loads(encode(specimens.daemon_plan(specimens.tcp())))


def name_of(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


FIELDS = [
    (*path, name) for path in record_paths(DaemonPlan) for name in get_type_hints(hint_of(path))
]

# What JSON may bring in the place of each annotation; bool is the type that hides in int.
WRONG: dict[Any, tuple[Any, ...]] = {
    str: (None, 0, True, ["x"], {}),
    bool: (None, 0, 1, "true"),
    int: (None, 1.5, True, "1"),
    float: (None, True, "1.5"),
    int | None: (1.5, False, "1"),
    WebSocketLimits | None: (1, False, "x", []),
    Http3Limits | None: (1, False, "x", []),
    QuicPlan | None: (1, False, "x", []),
    ForwardingPlan | None: (1, False, "x", []),
    TlsPlan | None: (1, False, "x", []),
    MetricsPlan | None: (1, False, "x", []),
    StaticPlan | None: (1, False, "x", []),
    WatchPlan | None: (1, False, "x", []),
    tuple[tuple[str, str], ...]: (None, 1, {}, ["1"], [["1"]], [["1", 2]]),
    tuple[int, ...]: (None, 1, {}, ["1"], [True]),
    tuple[ListenerPlan, ...]: (None, {}, "x"),
}
WORDS = (None, 0, True, "cgi", [])  # in the place of a Literal


@pytest.mark.parametrize("path", FIELDS, ids=name_of)
def test_each_field_must_be_there(record, path):
    del at(record, path[:-1])[path[-1]]
    with pytest.raises(ConfigError, match=rf"fields differ: \['{path[-1]}'\]"):
        decode(json.dumps(record))


@pytest.mark.parametrize(
    "path", [path for path in FIELDS if not is_dataclass(hint_of(path))], ids=name_of
)
def test_each_field_must_be_of_its_type(record, path):
    hint = hint_of(path)
    place = re.escape(name_of(tuple(step for step in path if step != 0)))
    for wrong in WORDS if get_origin(hint) is Literal else WRONG[hint]:
        at(record, path[:-1])[path[-1]] = wrong
        with pytest.raises(ConfigError, match=rf"plan\.{place}: "):
            decode(json.dumps(record))


@pytest.mark.parametrize("path", record_paths(DaemonPlan), ids=name_of)
def test_a_field_too_many_is_refused(record, path):
    at(record, path)["colour"] = 1
    with pytest.raises(ConfigError, match=r"fields differ: \['colour'\]"):
        decode(json.dumps(record))


@pytest.mark.parametrize("path", record_paths(DaemonPlan), ids=name_of)
@pytest.mark.parametrize("wrong", [None, [], 0, "text"], ids=repr)
def test_a_record_must_be_an_object(record, path, wrong):
    if path:
        at(record, path[:-1])[path[-1]] = wrong
    else:
        record = wrong
    with pytest.raises(ConfigError, match="not an object"):
        decode(json.dumps(record))


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"plan"', "{}", "\x00"])
def test_what_is_no_plan_is_a_config_error_that_says_what_to_do(text):
    with pytest.raises(ConfigError, match=r"made by another release.*upgrade"):
        decode(text)


def test_whole_numbers_may_stand_for_seconds():
    limits = specimens.limits(idle_timeout_s=5)
    plan = specimens.daemon_plan(worker=specimens.worker_plan(limits=limits))
    assert decode(encode(plan)) == plan


def test_a_choice_is_one_of_its_words(record):
    record["worker"]["interface"] = "cgi"
    with pytest.raises(ConfigError, match=r"plan\.worker\.interface"):
        decode(json.dumps(record))


def test_plans_are_frozen():
    plan = specimens.limits()
    for field in fields(Limits):
        with pytest.raises(AttributeError):
            setattr(plan, field.name, None)
