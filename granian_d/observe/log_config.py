"""Python's logging in the place of our own writing, where `log.config` asks for that.

Imported only there: logging.config takes a process 1 MiB. The daemon's records go through the
logger `_granian` and those of requests through `granian.access`, which is how Granian names them;
a configuration replaces whole keys of `DEFAULTS`, as it does there.

    check(text)         in the planner: would it do?    a process of its own finds out
    configure(plan)     in the master and in each child that obeys another plan
    put                 of `log.Log`: a record through `_granian`
    reopen, adopt       log rotation: the master opens, all others are given what it has opened
"""

from __future__ import annotations

import json
import logging
import logging.config
import logging.handlers
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import ConfigError
from granian_d.observe.log import STDERR, LogFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from granian_d.observe.events import Level
    from granian_d.plan import LogPlan

DAEMON: Final = "_granian"
ACCESS: Final = "granian.access"
_CHECK_S: Final = 30.0  # for imports; a handler has no business with the network when it is made
_TASKS: Final = "/proc/self/task"


def _formatter(fmt: str) -> dict[str, str]:
    return {"()": "logging.Formatter", "fmt": fmt, "datefmt": "[%Y-%m-%d %H:%M:%S %z]"}


def _handler(formatter: str) -> dict[str, str]:
    stream = "ext://sys.stdout"
    return {"class": "logging.StreamHandler", "formatter": formatter, "stream": stream}


def _logger(handler: str) -> dict[str, Any]:
    return {"handlers": [handler], "level": "INFO", "propagate": False}


# What Granian 2.8.7 starts from (granian/log.py).
DEFAULTS: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "generic": _formatter("[%(levelname)s] %(message)s"),
        "access": _formatter("%(message)s"),
    },
    "handlers": {"console": _handler("generic"), "access": _handler("access")},
    "loggers": {DAEMON: _logger("console"), ACCESS: _logger("access")},
}


class _Active:
    """What logging is configured by in this process, and in those that it forks."""

    by: tuple[str, str, bool] | None = None
    told: Final[set[str]] = set()  # loggers whose handlers have raised


# --- the planner ---------------------------------------------------------------------------------


def check(text: str) -> None:
    """Find out whether a configuration would do, without changing anything here.

    Args:
        text: an object in JSON.

    Raises:
        ValueError: with one line that says why not.
    """
    safe = ["-P"] if sys.flags.safe_path else []  # as this process has been started itself
    command = [sys.executable, *safe, "-m", __name__]
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=_CHECK_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"it takes longer than {_CHECK_S:.0f} s to configure logging") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        raise ValueError(lines[-1] if lines else f"logging ended with status {done.returncode}")


def _try() -> int:
    """In the process of `check`: configure from standard input; the exit status."""

    def open_nothing(handler: logging.FileHandler) -> Any:
        return open(os.devnull, handler.mode, encoding=handler.encoding)

    # A check must neither make files, maybe as somebody else, nor empty them.
    setattr(logging.FileHandler, "_open", open_nothing)  # noqa: B010 - it is nobody else's
    reason = ""
    try:
        logging.config.dictConfig(_merged(sys.stdin.read(), "info"))
    except Exception as error:  # noqa: BLE001 - of whatever is named there
        reason = _explain(error)
    if not reason and len(os.listdir(_TASKS)) > 1:
        reason = "it starts a thread, and the master must have none when it forks"
    if reason:
        os.write(STDERR, f"\n{reason}\n".encode(errors="backslashreplace"))
    os._exit(1 if reason else 0)  # whatever threads there are


def _merged(text: str, level: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(json.dumps(DEFAULTS)) | json.loads(text)
    config["loggers"].setdefault(DAEMON, {})["level"] = level.upper()
    return config


def _explain(error: BaseException) -> str:
    """What dictConfig says, and why, in one line."""
    cause = f": {_explain(error.__cause__)}" if error.__cause__ is not None else ""
    return " ".join(f"{type(error).__name__}: {error}{cause}".split())


# --- the master and its children -----------------------------------------------------------------


def configure(plan: LogPlan) -> bool:
    """Have logging be as a plan wants it; True where that is to write our records.

    What is inherited from the process that forked this one stays, if the plan wants the same.

    Raises:
        ConfigError: it cannot be had; logging is as it is without a configuration then.
    """
    wanted = (plan.config, plan.level, plan.enabled)
    if _Active.by == wanted:
        return True
    if _Active.by is not None:
        _unconfigure()
    if not plan.config:
        return False
    try:
        logging.config.dictConfig(_merged(plan.config, plan.level))
    except Exception as error:
        raise ConfigError(f"log.config: {_explain(error)}") from error
    if not plan.enabled:
        logging.getLogger(DAEMON).setLevel(logging.CRITICAL + 1)
    _Active.by = wanted
    return True


def _unconfigure() -> None:
    """Let go of all handlers: no application has been imported yet."""
    _Active.by = None
    for logger in _loggers():
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
        logger.disabled = False
    logging.root.setLevel(logging.WARNING)


def put(name: str, level: Level, text: str, fields: Mapping[str, Any]) -> bool:
    """A record of the daemon; False when it is not taken. See `log.Log`.

    A Formatter finds the event's name and fields as `record.event` and `record.fields`.
    """
    extra = {"event": name, "fields": fields}
    return hand_over(logging.getLogger(DAEMON), level.rank, text, extra=extra)


def hand_over(logger: logging.Logger, level: int, message: str, *args: Any, **more: Any) -> bool:
    """Log; False when a handler has raised, which standard error is told once a logger.

    False, too, when an application that configures logging has disabled all loggers that it does
    not name (disable_existing_loggers).
    """
    if logger.disabled:
        return False
    try:
        logger.log(level, message, *args, **more)
    except Exception as error:  # noqa: BLE001 - whatever somebody's handler raises
        if logger.name not in _Active.told:
            _Active.told.add(logger.name)
            text = f"granian-d: a handler of {logger.name} raised {_explain(error)}\n"
            LogFile("", STDERR).write(text.encode(errors="backslashreplace"))
        return False
    return True


# --- log rotation --------------------------------------------------------------------------------


def paths() -> set[str]:
    """The files of all handlers, but of those that open them again by themselves."""
    return {path for path, _ in _files()}


def reopen(path: str) -> int:
    """Open a file of handlers anew; its descriptor, for `adopt` in other processes.

    Raises:
        OSError: it cannot be opened; the old one stays.
    """
    fresh = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    adopt(path, fresh)
    return next(fd for known, fd in _files() if known == path)


def adopt(path: str, fd: int) -> None:
    """Have handlers of the file at `path` write to what `fd` is, which is closed."""
    for known, own in _files():
        if known == path:
            os.dup2(fd, own, inheritable=False)
    os.close(fd)


def _files() -> Iterator[tuple[str, int]]:
    """Path and descriptor of each open file; one that a handler watches needs nobody to tell it."""
    for logger in _loggers():
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler) or handler.stream is None:
                continue
            if not isinstance(handler, logging.handlers.WatchedFileHandler):
                yield handler.baseFilename, handler.stream.fileno()


def _loggers() -> Iterator[logging.Logger]:
    yield logging.root
    for name in list(logging.root.manager.loggerDict):
        yield logging.getLogger(name)


if __name__ == "__main__":
    sys.exit(_try())
