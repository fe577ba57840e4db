"""`granianctl`: examine settings without a daemon.

    granianctl check FILE [--app]     judge a TOML file; with --app import its application too
    granianctl config [ARGUMENT]...   the effective values of `granian-d ARGUMENT...`, with origins
    granianctl sample                 a TOML file with all options
    granianctl reference              docs/settings.md

Exit status: 0, or that of the error (78 for settings, 70 for the application, 71 for an address).
`check` judges the file alone: the shell's GRANIAN_* variables are not the service's, and neither
sockets nor privileges of the daemon are known here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from granian_d import __version__
from granian_d.errors import DaemonError, LoadError
from granian_d.settings import load, remarks, resolve
from granian_d.settings.options import PREFIX
from granian_d.settings.render import effective, reference, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from granian_d.plan import WorkerPlan


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        # What follows `config` is granian-d's command line and none of argparse's business.
        if words[:1] == ["config"] and words[1:] not in (["-h"], ["--help"]):
            return _config(words[1:])
        arguments = _parser().parse_args(words)
        match arguments.command:
            case "check":
                return _check(arguments.file, with_application=arguments.app)
            case "sample":
                sys.stdout.write(sample())
            case "reference":
                sys.stdout.write(reference())
    except DaemonError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="granianctl", description="Examine the settings of granian-d.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"granianctl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    check = commands.add_parser("check", help="judge a TOML file", allow_abbrev=False)
    check.add_argument("file", metavar="FILE")
    check.add_argument(
        "--app", action="store_true", help="import its application too, in a process of its own"
    )
    commands.add_parser(
        "config",
        help="print the effective values and where they come from",
        usage="granianctl config [ARGUMENT]...   (as of granian-d, for example -c FILE)",
        allow_abbrev=False,
    )
    commands.add_parser("sample", help="print a TOML file with all options")
    commands.add_parser("reference", help="print the reference of all options, in Markdown")
    return parser


def _config(argv: Sequence[str]) -> int:
    loaded = load(argv, os.environ, inherited=None)
    for line in remarks(loaded):
        sys.stderr.write(f"{line}\n")
    sys.stdout.write(effective(loaded))
    return 0


def _check(file: str, *, with_application: bool) -> int:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    loaded = load([f"--config={file}"], environ, inherited=None)
    plan = resolve(loaded)
    for line in remarks(loaded):
        sys.stderr.write(f"{line}\n")
    if with_application and (failure := _try_application(plan.worker)):
        sys.stderr.write(f"{file}: {failure}\n")
        return LoadError.exit_code
    sys.stdout.write(f"{file}: ok\n")
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
