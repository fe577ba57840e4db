"""Records that another release has written."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 - looked at when a record is built
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import pytest

from granian_d.errors import ConfigError
from granian_d.plan import adapt, decode, encode
from granian_d.plan.records import STRICT, Reading, build, spares_of
from tests.unit.plan import specimens

TOLERANT = Reading(tolerant=True)


@dataclass(frozen=True)
class Inner:
    a: int
    b: str = "b"


@dataclass(frozen=True)
class Outer:
    state: Literal["on", "off"]
    pair: tuple[int, str]
    by_number: Mapping[int, Inner]
    maybe: Inner | None = None
    until: float = float("inf")
    many: tuple[Inner, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)


WHOLE = Outer("on", (1, "x"), {7: Inner(1)}, Inner(2, "c"), 2.5, (Inner(3),), {"k": "v"})


def plain(record):
    return json.loads(json.dumps(asdict(record)))


@pytest.mark.parametrize("reading", [STRICT, TOLERANT], ids=["strict", "tolerant"])
@pytest.mark.parametrize("record", [WHOLE, replace(WHOLE, maybe=None, until=float("inf"))])
def test_it_comes_back_as_it_was(record, reading):
    assert build(Outer, plain(record), "it", reading) == record


def test_what_is_unknown_or_missing_is_a_fault_only_where_one_release_speaks_to_itself():
    value = plain(WHOLE) | {"new": 1}
    del value["until"]
    with pytest.raises(TypeError, match=r"it: fields differ: \['new', 'until'\]"):
        build(Outer, value, "it")
    assert build(Outer, value, "it", TOLERANT) == replace(WHOLE, until=float("inf"))


def test_what_is_missing_without_a_default_comes_from_a_spare():
    value = plain(WHOLE)
    del value["by_number"]["7"]["a"]
    with pytest.raises(TypeError, match=r"it\.by_number\.7: a is missing"):
        build(Outer, value, "it", TOLERANT)
    spare = TOLERANT._replace(spares={Inner: Inner(9)})
    assert build(Outer, value, "it", spare).by_number == {7: Inner(9)}


@pytest.mark.parametrize(
    "change",
    [
        {"state": "odd"},
        {"pair": [1]},
        {"pair": [1, 2]},
        {"pair": "1x"},
        {"by_number": []},
        {"by_number": {"x": {"a": 1}}},
        {"by_number": {"1": 1}},
        {"maybe": 1},
        {"until": "never"},
        {"many": {}},
        {"words": {"k": 1}},
    ],
)
def test_what_is_of_another_kind_is_always_a_fault(change):
    with pytest.raises(TypeError, match="it"):
        build(Outer, plain(WHOLE) | change, "it", TOLERANT)


def test_spares_are_what_stands_for_itself_alone():
    spares = spares_of(specimens.daemon_plan(specimens.tcp()))
    names = {kind.__name__ for kind in spares}
    assert {"DaemonPlan", "PoolPlan", "Recycling", "WorkerPlan", "Limits", "Identity"} <= names
    assert "ListenerPlan" not in names


class TestAdapt:
    """The plan of the release before, for the one of today."""

    today = specimens.daemon_plan(specimens.tcp(), specimens.tcp("127.0.0.2"))
    before = replace(
        specimens.daemon_plan(specimens.tcp()), pool=specimens.pool_plan(workers=3, surge=2)
    )

    def test_what_one_of_them_does_not_know(self):
        text = json.loads(encode(self.before))
        text["of_yesterday"] = 1
        text["pool"]["of_yesterday"] = 1
        del text["pool"]["surge"], text["worker"]["limits"]["http2"]["streams"]
        text = json.dumps(text)
        with pytest.raises(ConfigError, match="another release"):
            decode(text)
        pool = replace(self.before.pool, surge=self.today.pool.surge)
        assert adapt(text, self.today) == replace(self.before, pool=pool)

    def test_a_listener_is_not_completed_from_another(self):
        text = json.loads(encode(self.before))
        del text["listeners"][0]["tls"]
        with pytest.raises(ConfigError, match=r"plan\.listeners: tls is missing"):
            adapt(json.dumps(text), self.today)
