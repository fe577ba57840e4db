"""log.config: both logs through Python's logging, in all processes, across reloads."""

from __future__ import annotations

import json
import os

import pytest

from granian_d.observe.log_config import ACCESS, DAEMON
from tests.process.daemon import fetch, wait_until

FORMATTERS = """
import logging


class Args(logging.Formatter):
    def format(self, record):
        return f"{record.getMessage()} {record.args['method']} {record.args['worker']}"
"""

MORE = """
[log]
config = "log.json"

[access_log]
enabled = true
fmt = "%(path)s"
"""


@pytest.fixture
def write_config(tmp_path):
    """Write log.json: both logs go to a file each, with that prefix."""
    (tmp_path / "formatters_of_ours.py").write_text(FORMATTERS)

    def write(prefix: str) -> None:
        names = {DAEMON: "daemon", ACCESS: "access"}
        files = {name: str(tmp_path / f"{prefix}-{name}.log") for name in names.values()}
        config = {
            "formatters": {
                "daemon": {"format": "%(levelname)s %(process)d %(event)s %(message)s"},
                "access": {"()": "formatters_of_ours.Args"},
            },
            "handlers": {
                name: {"class": "logging.FileHandler", "filename": file, "formatter": name}
                for name, file in files.items()
            },
            "loggers": {
                logger: {"handlers": [name], "level": "INFO", "propagate": False}
                for logger, name in names.items()
            },
        }
        (tmp_path / "log.json").write_text(json.dumps(config))

    return write


def has(path, text):
    wait_until(
        lambda: path.exists() and text in path.read_text(),
        lambda: f"no {text!r} in {path}: {path.read_text() if path.exists() else None}",
    )


def test_both_logs_of_all_processes_through_reloads_and_rotation(
    make_daemon, write_config, tmp_path
):
    write_config("a")
    daemon = make_daemon(1, MORE, environ={"PYTHONPATH": str(tmp_path)}).start()
    daemon.wait_for("READY=1")
    first = tmp_path / "a-daemon.log"
    has(first, f"INFO {daemon.pid} starting Starting granian (main PID: {daemon.pid})")
    line = first.read_text().partition("Listening at: http://127.0.0.1:")[2]
    port = int(line.split()[0])
    address = ("127.0.0.1", port)
    worker = fetch(address, "/one").body
    has(tmp_path / "a-access.log", "/one GET 1\n")

    for name in ("daemon", "access"):
        (tmp_path / f"a-{name}.log").rename(tmp_path / f"a-{name}.log.1")
    daemon.signal("USR1")
    has(first, f"INFO {daemon.pid} reopened Log files reopened")
    fresh = tmp_path / "a-access.log"
    wait_until(lambda: fetch(address, "/two") and "/two GET 1\n" in fresh.read_text())

    (tmp_path / "log.json").write_text('{"version": 7}')
    assert "Unsupported version: 7" in daemon.reload()
    assert fetch(address, "/three").body == worker
    has(first, "reload_failed")

    write_config("gone/b")  # no directory: known only when a worker opens its files
    assert "No such file or directory" in daemon.reload()
    write_config("b")
    assert daemon.reload().startswith("gen 3,")
    fetch(address, "/four")
    has(tmp_path / "b-access.log", "/four GET 1\n")
    has(tmp_path / "b-daemon.log", "reload_done")
    assert "/four" not in (tmp_path / "a-access.log").read_text()

    daemon.config.write_text(daemon.config.read_text().replace('config = "log.json"', ""))
    assert daemon.reload().startswith("gen 4,")
    daemon.wait_for_log("Reloaded: generation")
    fetch(address, "/five")
    has(tmp_path / "stdout.log", "/five\n")


def test_a_start_that_cannot_be(make_daemon, write_config, tmp_path):
    write_config("gone/a")  # its directory is not there: the planner cannot know for the master
    daemon = make_daemon(1, MORE, environ={"PYTHONPATH": str(tmp_path)}).start()
    assert daemon.wait() == os.EX_CONFIG
    assert "No such file or directory" in daemon.log
    (tmp_path / "log.json").write_text("{")
    daemon = make_daemon(1, MORE).start()
    assert daemon.wait() == os.EX_CONFIG
    assert "log.json is not JSON" in daemon.log
