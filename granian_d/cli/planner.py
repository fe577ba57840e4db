"""The planner: a short-lived process that turns Settings into a Plan, for the master.

    python -P -m granian_d.cli.planner RESULT_FD INHERITED_NAMES_JSON -- ARGV...
    python -P -m granian_d.cli.planner RESULT_FD INHERITED_NAMES_JSON -

The second form is that of a program: its keyword arguments come as a line of JSON on the standard
input, with the directory that they are relative to: {"keywords": {...}, "directory": PATH}.

One line of JSON goes to RESULT_FD, and it is all that the master learns:

    {"plan": TEXT, "warnings": [LINE, ...]}      exit 0; TEXT is for plan.decode
    {"done": 0}                                  exit 0; --help or --version went to stdout
    {"error": LINE, "exit_code": CODE}           exit CODE

A bad configuration, or a fault of this program, kills this process and nothing else. Nothing
heavy is imported before `main` can report that its import failed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from granian_d import __version__
from granian_d.engine.choose import resolve
from granian_d.errors import DaemonError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from granian_d.settings import Loaded

_USAGE: Final = "usage: python -m granian_d.cli.planner RESULT_FD INHERITED_JSON (-- ARGV... | -)"


def main() -> int:
    """Plan, report, and return the exit status."""
    # The terminal's Ctrl-C reaches this process too: the master answers it, this one just ends.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    match sys.argv[1:]:  # the master's side of the command line: a fault in it is the master's
        case [result_fd, names, "--", *argv]:
            record = answer(argv, os.environ, tuple(json.loads(names)))
        case [result_fd, names, "-"]:
            record = _judged(partial(_of_program, json.load(sys.stdin), tuple(json.loads(names))))
        case _:
            raise SystemExit(_USAGE)
    with os.fdopen(int(result_fd), "w", encoding="ascii") as result:
        result.write(json.dumps(record) + "\n")
    return int(record.get("exit_code", 0))


def answer(
    argv: Sequence[str], environ: Mapping[str, str], inherited: tuple[str, ...]
) -> dict[str, Any]:
    """What the master is told: one of the records above."""
    return _judged(partial(_of_command_line, argv, environ, inherited))


def _judged(plan: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `plan` says, or its fault."""
    # A plugin of pydantic that the application brought along has no business here.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        return plan()
    except DaemonError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    except Exception as error:  # noqa: BLE001 - reported to the master: it must learn of every end
        traceback.print_exc()
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        line = f"the planner failed: {reason}"
        return {"error": line, "exit_code": DaemonError.exit_code}


def _of_command_line(
    argv: Sequence[str], environ: Mapping[str, str], inherited: tuple[str, ...]
) -> dict[str, Any]:
    from granian_d import settings  # noqa: PLC0415 - a failing import is reported like all else

    if wish := settings.asked_for(argv):
        _print(wish)
        return {"done": 0}
    return _plan(settings.load(argv, environ, inherited=inherited))


def _of_program(given: dict[str, Any], inherited: tuple[str, ...]) -> dict[str, Any]:
    from granian_d.settings import load_keywords  # noqa: PLC0415 - as above

    keywords, directory = given["keywords"], given["directory"]
    terms = {"directory": directory, "inherited": inherited}
    return _plan(load_keywords(keywords, os.environ, **terms))


def _plan(loaded: Loaded) -> dict[str, Any]:
    from granian_d import settings  # noqa: PLC0415 - as above
    from granian_d.plan import encode  # noqa: PLC0415 - as above

    plan = settings.resolve(loaded)
    return {"plan": encode(plan), "warnings": list(settings.remarks(loaded))}


def _print(wish: str) -> None:
    if wish == "version":
        text = f"granian-d {__version__} ({resolve('auto')} engine)\n"
    else:
        from granian_d.settings import usage  # noqa: PLC0415 - only this wish needs it

        text = usage.help_text(usage.terminal_width())
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
