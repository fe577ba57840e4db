"""Applications to load, in a directory of their own, and an interpreter that forgets them."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys

import pytest
import uvloop

from granian_d.transport import tcp
from tests.unit.plan import specimens
from tests.unit.worker.room import PATIENCE_S, Room
from tests.wire.harness import ENGINES


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


@pytest.fixture(params=[(e, w) for e in ENGINES for w in ("asyncio", "uvloop")], ids="-".join)
def run(request, monkeypatch):
    """Run a story, an `async def` that is given a Room, to its end: each engine on each loop."""
    monkeypatch.setattr(tcp, "LINGER_S", 0.05)
    engine, wheel = request.param
    factory = asyncio.new_event_loop if wheel == "asyncio" else uvloop.new_event_loop

    def play(story, app, **options):
        async def staged():
            room = Room(engine, app, **options)
            try:
                await asyncio.wait_for(story(room), PATIENCE_S)
            finally:
                await room.close()

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(staged())

    return play
