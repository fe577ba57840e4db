"""The examples of the README do what they say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.process.daemon import Daemon

EXAMPLES = Path(__file__).parents[2] / "examples"

# target, interface, paths with what their answers say
SERVED = {
    "hello_asgi": ("hello_asgi:app", "asgi", {"/": "Hello, world!"}),
    "hello_wsgi": ("hello_wsgi:app", "wsgi", {"/": "Hello, world!"}),
    "hello_rsgi": ("hello_rsgi:app", "rsgi", {"/": "Hello, world!"}),
    "fastapi": (
        "fastapi_app:app",
        "asgi",
        {"/": "It works", "/json": '"worker"', "/docs": "<html"},
    ),
    "flask": ("flask_app:app", "wsgi", {"/": "Hello, stranger!"}),
    "django as asgi": ("django_app:asgi", "asgi", {"/": "By ASGI", "/together": '{"sum": 3}'}),
    "django as wsgi": ("django_app:wsgi", "wsgi", {"/": "By WSGI", "/together": '{"sum": 3}'}),
}


@pytest.mark.parametrize("case", SERVED)
def test_example(tmp_path, case):
    target, interface, pages = SERVED[case]
    arguments = (target, "--interface", interface, "--working-dir", str(EXAMPLES), "--port", "0")
    with Daemon(tmp_path, arguments=arguments) as daemon:
        for path, text in pages.items():
            answer = daemon.get(path)
            assert answer.status == 200
            assert text in answer.text
        assert daemon.stop() == 0


def test_configuration_that_make_run_uses(tmp_path):
    """On any port here: 8000 may be somebody else's."""
    arguments = ("--config", str(EXAMPLES / "granian.toml"), "--port", "0")
    with Daemon(tmp_path, arguments=arguments) as daemon:
        assert "It works" in daemon.get().text
        put = daemon.get("/upload", "PUT", b"x" * 100_000)
        assert put.json == {"bytes": 100_000}
        assert len(daemon.workers()) == 2
        assert daemon.stop() == 0


def test_address_that_make_run_prints():
    """It is the file's: a person opens it."""
    settings = tomllib.loads((EXAMPLES / "granian.toml").read_text())
    makefile = (EXAMPLES.parent / "Makefile").read_text()
    assert f"ADDRESS := http://{settings['host']}:{settings['port']}\n" in makefile


def test_every_example_is_tested():
    modules = {target.partition(":")[0] for target, _, _ in SERVED.values()}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == modules
