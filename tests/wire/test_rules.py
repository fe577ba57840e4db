"""The table of rules, the vectors, the code and the document are in step."""

from __future__ import annotations

from functools import reduce
from importlib import import_module

import pytest

from tests.wire.vector_files import load
from tests.wire.wire_support import DOCUMENT, ROOT, RULES, render, vectors_by_rule

BY_ID = {rule["id"]: rule for rule in RULES}


def test_no_two_rules_have_one_id() -> None:
    assert len(BY_ID) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["id"])
def test_rule_is_complete(rule: dict) -> None:
    known = {"id", "rfc", "section", "level", "rule", "stance", "why", "where", "shown_by"}
    assert set(rule) <= known
    assert rule["rfc"] in (9110, 9112)
    assert rule["level"] in ("MUST", "SHOULD", "MAY", "OWN")
    assert ("why" in rule) == (rule["stance"] in ("deviates", "absent"))
    assert ("where" in rule) == (rule["stance"] in ("kept", "deviates"))
    if rule["stance"] in ("kept", "deviates"):
        shown = rule["id"] in vectors_by_rule() or "shown_by" in rule
        assert shown, "nothing shows it"


@pytest.mark.parametrize(
    "place", sorted({place for rule in RULES for place in rule.get("where", ())})
)
def test_what_enforces_a_rule_exists(place: str) -> None:
    module, _, name = place.partition(":")
    assert reduce(getattr, name.split("."), import_module(f"granian_d.{module}")) is not None


@pytest.mark.parametrize(
    "test", sorted({test for rule in RULES for test in rule.get("shown_by", ())})
)
def test_tests_that_show_a_rule_exist(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text()


def test_vectors_name_rules_that_exist() -> None:
    unknown = {rule for vector in load() for rule in vector.rules} - set(BY_ID)
    assert not unknown


def test_the_document_is_rendered_from_the_table() -> None:
    assert DOCUMENT.read_text() == render(), "run python -m tests.wire.wire_support"
