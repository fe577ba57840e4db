"""Applications to load, in a directory of their own, and an interpreter that forgets them."""

from __future__ import annotations

import importlib
import os
import sys

import pytest

from tests.unit.plan import specimens


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """An empty directory to put modules into; what was imported is forgotten afterwards."""
    before = dict(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    here = os.getcwd()
    importlib.invalidate_caches()
    yield tmp_path
    os.chdir(here)
    for name in set(sys.modules) - set(before):
        if getattr(sys.modules[name], "__file__", None) is None or str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


@pytest.fixture
def write(directory):
    """Write a file of the application."""

    def put(path: str, text: str) -> None:
        full = directory / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(text)
        importlib.invalidate_caches()

    return put


@pytest.fixture
def plan(directory):
    """A WorkerPlan for a target in the directory."""

    def make(target: str, **changes):
        changes.setdefault("working_dir", str(directory))
        return specimens.worker_plan(target, **changes)

    return make
