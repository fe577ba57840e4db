"""The table of events against the places that report: all of them, found in the syntax tree."""

from __future__ import annotations

import ast
from string import Formatter
from typing import NamedTuple

import pytest

from granian_d.observe.events import EVENTS, LEVELS
from tests.architecture.source import modules

# What a call of that name adds to the fields it is given.
ADDED = {
    "event": set(),
    "report": set(),
    "Report": set(),
    "tell": {"worker", "generation", "pid"},  # decide names a number, os_calls knows its pid
}


class Site(NamedTuple):
    """A place that reports an event."""

    place: str
    name: str
    fields: frozenset[str]


def sites() -> list[Site]:
    found = []
    for module in modules():
        for function in ast.walk(module.tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and call_name(call) in ADDED:
                        found += read(module.path, function, call)
    return found


def call_name(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def read(path: str, function: ast.FunctionDef, call: ast.Call) -> list[Site]:
    if not call.args:
        return []  # file.tell(), and what else is called like that
    names = constants(function, call.args[0])
    fields = set(ADDED[call_name(call)])
    if call_name(call) == "Report":
        given = dictionary(function, call.args[1])
        if given is None:
            return []  # the one place through which decide's reports pass
        fields |= {key.value for key in given.keys if key is not None}
    fields |= {keyword.arg for keyword in call.keywords if keyword.arg}
    if "number" in fields:
        fields.add("pid")  # as for "tell"
    return [Site(f"{path}:{call.lineno}", name, frozenset(fields)) for name in names]


def dictionary(function: ast.FunctionDef, value: ast.expr) -> ast.Dict | None:
    """The dictionary that an argument is; a local name is looked up. None if it is handed on."""
    if isinstance(value, ast.Name):
        steps = [step for step in ast.walk(function) if isinstance(step, ast.Assign)]
        named = [s.value for s in steps if ast.unparse(s.targets[0]) == value.id]
        value = named[0] if named else value
    return value if isinstance(value, ast.Dict) else None


def constants(function: ast.FunctionDef, value: ast.expr) -> list[str]:
    """The strings that an argument may be; a local name is looked up. None if it is handed on."""
    match value:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp():
            return constants(function, value.body) + constants(function, value.orelse)
        case ast.Name():
            return [
                text
                for step in ast.walk(function)
                if isinstance(step, ast.Assign) and ast.unparse(step.targets[0]) == value.id
                for text in constants(function, step.value)
            ]
        case _:
            return []


SITES = sites()


def test_the_search_finds_what_it_looks_for():
    """Of each kind of call one that is known; otherwise the tests below would pass on nothing."""
    found = {site.name for site in SITES}
    assert {"signal", "scaled", "worker_died", "starting", "reload_done", "drain_cut"} <= found


@pytest.mark.parametrize("site", SITES, ids=lambda site: f"{site.name}@{site.place}")
def test_what_is_reported_is_in_the_table_and_can_be_said(site):
    assert site.name in EVENTS
    _, sentence = EVENTS[site.name]
    wanted = {field for _, field, _, _ in Formatter().parse(sentence) if field}
    assert wanted <= site.fields


@pytest.mark.parametrize("name", EVENTS)
def test_what_is_in_the_table_is_reported(name):
    assert name in {site.name for site in SITES}


@pytest.mark.parametrize("name", EVENTS)
def test_levels_exist_and_sentences_are_complete(name):
    level, sentence = EVENTS[name]
    assert level in LEVELS
    assert sentence
    assert not sentence.endswith("\n")


def test_levels_are_in_order_and_fit_syslog():
    ranks = [level.rank for level in LEVELS.values()]
    priorities = [level.priority for level in LEVELS.values()]
    assert ranks == sorted(set(ranks))
    assert priorities == sorted(set(priorities), reverse=True)
    assert {name: level.priority for name, level in LEVELS.items()} == {
        "debug": 7,
        "info": 6,
        "warning": 4,
        "error": 3,
        "critical": 2,
    }
