"""Habits that can be read off the syntax tree."""

from __future__ import annotations

import ast

from tests.architecture.source import modules, walk

FUNCTION_LINES = 60
MODULE_LINES = 450


def test_functions_fit_on_a_screen():
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [
        f"{place}: {node.name}, {node.end_lineno - node.lineno + 1} lines"
        for place, node in walk(*kinds)
        if node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    ]
    assert not long


def test_modules_can_be_read_in_one_go():
    long = [
        f"{module.path}: {module.text.count(chr(10))} lines"
        for module in modules()
        if module.text.count("\n") > MODULE_LINES
    ]
    assert not long


def test_every_module_says_what_it_is():
    assert not [module.path for module in modules() if not ast.get_docstring(module.tree)]


def test_nothing_sleeps():
    """Readiness is a message, time is a deadline; whoever sleeps has neither."""
    sleepers = [place for place, node in walk(ast.Attribute) if node.attr == "sleep"]
    sleepers += [
        place
        for place, node in walk(ast.ImportFrom)
        if any(alias.name == "sleep" for alias in node.names)
    ]
    assert not sleepers


def test_no_fault_is_passed_over_without_a_word():
    """`except ...: pass` needs its reason beside it; a bare or catch-all one has no excuse."""
    lines = {module.path: module.text.splitlines() for module in modules()}
    silent = []
    for place, node in walk(ast.ExceptHandler):
        if not all(isinstance(step, ast.Pass) for step in node.body):
            continue
        path, _, _ = place.partition(":")
        said = "#" in lines[path][node.body[-1].lineno - 1]
        broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
        if broad or not said:
            silent.append(place)
    assert not silent


def test_exceptions_to_the_linters_give_their_reason():
    """`# noqa: RULE - reason`: without the reason it is only disobedience."""
    unexplained = [
        f"{module.path}:{number}"
        for module in modules()
        for number, line in enumerate(module.text.splitlines(), 1)
        for mark in ("# noqa", "# type: ignore")
        if mark in line and " - " not in line.partition(mark)[2]
    ]
    assert not unexplained
