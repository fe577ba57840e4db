"""Every option of Granian is one of ours, by the same names, and what differs is decided on."""

from __future__ import annotations

import re

from tests.architecture.source import ROOT
from tests.parity.options import compare, reasons


def test_the_table_of_differences_is_empty_but_for_what_was_decided():
    undecided = [found for found in compare() if (found.flag, found.aspect) not in reasons()]
    assert undecided == []


def test_nothing_is_explained_that_does_not_differ():
    assert reasons().keys() - {(found.flag, found.aspect) for found in compare()} == set()


def test_what_differs_is_decided_on():
    adr = next((ROOT / "docs/adr").glob("0016-*.md")).read_text(encoding="utf-8")
    named = set(re.findall(r"`(--[a-z0-9-]+)`", adr))
    assert {found.flag for found in compare()} <= named
