"""The half of `granianctl` that examines settings, without a daemon.

`check` judges the file alone: the shell's GRANIAN_* variables are not the service's, and neither
sockets nor privileges of the daemon are known here.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from granian_d.errors import DaemonError, LoadError
from granian_d.settings import load, remarks, resolve
from granian_d.settings.options import PREFIX
from granian_d.settings.reference import reference
from granian_d.settings.render import effective, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from granian_d.plan import DaemonPlan, WorkerPlan


def config(argv: Sequence[str]) -> int:
    """Print the effective values of `granian-d ARGV...`, with their origins."""
    loaded = load(argv, os.environ, inherited=None)
    for line in remarks(loaded):
        sys.stderr.write(f"{line}\n")
    sys.stdout.write(effective(loaded))
    return 0


def print_sample() -> int:
    """Print a TOML file with all options."""
    sys.stdout.write(sample())
    return 0


def print_reference() -> int:
    """Print docs/settings.md."""
    sys.stdout.write(reference())
    return 0


def check(file: str, *, with_application: bool) -> int:
    """Judge a TOML file; with the application, import that too."""
    plan = plan_of(file)
    if with_application and (failure := _try_application(plan.worker)):
        sys.stderr.write(f"{file}: {failure}\n")
        return LoadError.exit_code
    sys.stdout.write(f"{file}: ok\n")
    return 0


def plan_of(file: str) -> DaemonPlan:
    """What a TOML file asks for by itself; what is remarkable in it goes to standard error.

    Raises:
        ConfigError: it cannot be used.
        ListenError: it names a host that cannot be resolved.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    loaded = load([f"--config={file}"], environ, inherited=None)
    plan = resolve(loaded)
    for line in remarks(loaded):
        sys.stderr.write(f"{line}\n")
    return plan


def _try_application(plan: WorkerPlan) -> str:
    """Import the application in a child, which it may spoil as it likes; why it failed, or ""."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading_fd, writing_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading_fd)
        _be_the_child(plan, writing_fd)
    os.close(writing_fd)
    with os.fdopen(reading_fd, encoding="ascii") as answer:
        # One line and not all: what the application started may keep the pipe open.
        text = answer.readline()
    _, status = os.waitpid(pid, 0)
    if text:
        return str(json.loads(text))
    code = os.waitstatus_to_exitcode(status)
    end = f"status {code}" if code >= 0 else f"signal {-code}"
    return f"importing the application ended the process ({end})"


def _be_the_child(plan: WorkerPlan, fd: int) -> NoReturn:
    """Import, report to `fd` and end, without the exit handlers of whatever was imported."""
    try:
        failure = _load(plan)
        sys.stdout.flush()
        with os.fdopen(fd, "w", encoding="ascii") as answer:
            answer.write(json.dumps(failure) + "\n")
    except BaseException:  # noqa: BLE001 - the child must not return into its parent's code
        traceback.print_exc()
        os._exit(DaemonError.exit_code)
    os._exit(0)


def _load(plan: WorkerPlan) -> str:
    from granian_d.worker.load import load_application  # noqa: PLC0415 - --app alone needs it

    try:
        if plan.working_dir:
            os.chdir(plan.working_dir)
        load_application(plan)
    except LoadError as error:
        return "\n".join([str(error), *_telling_part(error)])
    except OSError as error:
        return f"working_dir: {plan.working_dir}: {error.strerror}"
    return ""


def _telling_part(error: LoadError) -> list[str]:
    """The application's own frames of the traceback: not ours, nor those of the import system."""
    cause = error.__cause__
    if cause is None:
        return []
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    frames = [
        frame
        for frame in traceback.extract_tb(cause.__traceback__)
        if not frame.filename.startswith((ours + os.sep, "<frozen importlib"))
        and os.sep + "importlib" + os.sep not in frame.filename
    ]
    return [line.rstrip("\n") for line in traceback.format_list(frames)]
