"""Python's logging in the daemon's place: judged elsewhere, configured here, never a danger."""

from __future__ import annotations

import json
import logging
import logging.config

import pytest

from granian_d.errors import ConfigError
from granian_d.observe import log_config
from granian_d.observe.access_records import AccessRecords
from granian_d.observe.log import Log, LogFile
from tests.unit.plan.specimens import log_plan

from .test_access_log import exchange

CUSTOM = """
import logging, threading


class Threaded(logging.StreamHandler):
    def __init__(self):
        super().__init__()
        threading.Thread(target=threading.Event().wait, daemon=True).start()


class Raising(logging.Handler):
    def emit(self, record):
        raise RuntimeError("no more\\nspace")


class Kept(logging.Handler):
    records = []

    def emit(self, record):
        self.records.append(record)
"""


@pytest.fixture(autouse=True)
def custom(tmp_path, monkeypatch):
    """A module that the configurations below name."""
    (tmp_path / "custom_logging.py").write_text(CUSTOM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def configure():
    """Configure this very process, in which pytest has handlers, too."""
    before = list(logging.root.handlers), logging.root.level

    def configure(config, **changes):
        plan = log_plan(config=json.dumps(config), **changes)
        return log_config.configure(plan)

    yield configure
    log_config.configure(log_plan(config=""))
    logging.root.handlers[:], logging.root.level = before


def handled_by(kind, **more):
    """A configuration in which one handler has all records."""
    handler = {"class": kind, **more}
    loggers = {
        name: {"handlers": ["all"], "level": "INFO", "propagate": False}
        for name in (log_config.DAEMON, log_config.ACCESS)
    }
    return {"handlers": {"all": handler}, "loggers": loggers}


# --- judged -------------------------------------------------------------------------------------


def test_what_would_do_is_tried_without_leaving_anything_behind(tmp_path):
    log = tmp_path / "app.log"
    log.write_text("before\n")
    fresh = tmp_path / "fresh.log"
    for name in (log, fresh):
        log_config.check(
            json.dumps(handled_by("logging.FileHandler", filename=str(name), mode="w"))
        )
    assert log.read_text() == "before\n"
    assert not fresh.exists()
    log_config.check("{}")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"version": 2}, "ValueError: Unsupported version: 2"),
        ({"loggers": []}, "AttributeError"),
        ({"handlers": {}}, "Unable to configure logger"),
        ({"formatters": {}}, "Unable to configure handler 'access'"),
        (handled_by("nowhere.Handler"), "No module named 'nowhere'"),
        (handled_by("custom_logging.Threaded"), "it starts a thread"),
    ],
)
def test_what_would_not_is_told_in_a_line(config, says):
    with pytest.raises(ValueError) as caught:
        log_config.check(json.dumps(config))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


# --- configured ----------------------------------------------------------------------------------


def test_records_of_the_daemon_and_of_requests(configure, tmp_path):
    from custom_logging import Kept

    assert configure(handled_by("custom_logging.Kept"))
    file = LogFile(str(tmp_path / "own.log"), -1)
    who = {"worker": 2, "generation": 7}
    log = Log(log_plan(), file, journal=False, who=who, put=log_config.put)
    log.event("worker_spawned", worker=2, pid=99)
    access = AccessRecords("%(status)d %(header{X})s", file, lambda flush: flush(), who)
    access.write(exchange(fields=[(b"x", b"y")]))
    spawned, asked = Kept.records
    assert (spawned.name, spawned.levelname) == ("_granian", "INFO")
    assert spawned.getMessage() == "Spawning worker-2 with PID: 99"
    assert (spawned.event, spawned.fields) == ("worker_spawned", {**who, "pid": 99})
    assert (asked.name, asked.getMessage()) == ("granian.access", "200 y")
    assert (asked.args["path"], asked.args["worker"], asked.args["header{X}"]) == ("/a", 2, "y")
    assert "request_id" not in asked.args
    assert file.path
    assert (tmp_path / "own.log").read_text() == ""


@pytest.mark.parametrize(
    ("plan", "level"), [({"level": "error"}, logging.ERROR), ({"enabled": False}, 51)]
)
def test_the_level_is_that_of_the_options(configure, plan, level):
    configure({}, **plan)
    assert logging.getLogger(log_config.DAEMON).level == level
    assert logging.getLogger(log_config.ACCESS).level == logging.INFO


def test_a_handler_that_raises_costs_no_record(configure, tmp_path, capfd):
    configure(handled_by("custom_logging.Raising"))
    file = LogFile(str(tmp_path / "own.log"), -1)
    log = Log(log_plan(), file, journal=False, put=log_config.put)
    log.event("reopened")
    log.event("reopened")
    access = AccessRecords("%(path)s", file, lambda flush: flush(), {})
    access.write(exchange())
    first, second, asked = (tmp_path / "own.log").read_text().splitlines()
    assert first.endswith("[INFO] Log files reopened")
    assert second.endswith("[INFO] Log files reopened")
    assert asked == "/a"
    told = capfd.readouterr().err.splitlines()
    of = "raised RuntimeError: no more space"
    assert told == [f"granian-d: a handler of {n} {of}" for n in ("_granian", "granian.access")]


def test_an_application_that_disables_the_loggers_does_not_silence_the_daemon(configure, tmp_path):
    configure({})
    logging.config.dictConfig({"version": 1})
    file = LogFile(str(tmp_path / "own.log"), -1)
    Log(log_plan(), file, journal=False, put=log_config.put).event("reopened")
    assert "Log files reopened" in (tmp_path / "own.log").read_text()


def test_without_a_configuration_handlers_are_gone(configure):
    configure({})
    assert logging.getLogger(log_config.DAEMON).handlers
    assert not log_config.configure(log_plan(config=""))
    assert not logging.getLogger(log_config.DAEMON).handlers


def test_what_fails_here_is_an_error_of_the_configuration(configure):
    with pytest.raises(ConfigError, match="No such file or directory"):
        configure(handled_by("logging.FileHandler", filename="/nowhere/log"))


def test_files_are_opened_anew_but_those_that_are_watched(configure, tmp_path):
    path = tmp_path / "app.log"
    configure(handled_by("logging.FileHandler", filename=str(path)))
    logger = logging.getLogger(log_config.DAEMON)
    logger.info("one")
    path.rename(tmp_path / "app.log.1")
    assert log_config.paths() == {str(path)}
    log_config.reopen(str(path))
    logger.info("two")
    assert (tmp_path / "app.log.1").read_text() == "one\n"
    assert path.read_text() == "two\n"
    configure(handled_by("logging.handlers.WatchedFileHandler", filename=str(path)))
    assert log_config.paths() == set()
