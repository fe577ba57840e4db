"""The check: the program on disk proves that it can take the place of a running master.

    python -P -m granian_d.cli.check RESULT_FD STATE_FD PROGRAM INHERITED_NAMES_JSON -- ARGV...

It does what the master's next program would do, and touches nothing: it imports the front door and
what workers need (compiled parts included), makes a plan of the configuration, and reads the state
that would be handed to it. One line of JSON goes to RESULT_FD, as the planner writes it.

Nothing heavy is imported before `main` can report that its import failed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_USAGE: Final = "usage: python -m granian_d.cli.check RESULT_FD STATE_FD PROGRAM NAMES -- ARGV..."


def main() -> int:
    """Check, report, and return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the planner
    match sys.argv[1:]:
        case [result_fd, state_fd, program, names, "--", *argv]:
            answer = _answer(int(state_fd), program, tuple(json.loads(names)), argv)
        case _:
            raise SystemExit(_USAGE)
    with os.fdopen(int(result_fd), "w", encoding="ascii") as result:
        result.write(json.dumps(answer) + "\n")
    return int(answer.get("exit_code", 0))


def _answer(
    state: int, program: str, inherited: tuple[str, ...], argv: Sequence[str]
) -> dict[str, Any]:
    """What the master is told."""
    if not os.path.exists(program):
        return _refusal(f"{program} is missing", os.EX_SOFTWARE)
    try:
        return _try(state, inherited, argv)
    except BaseException as error:  # noqa: BLE001 - reported to the master, whatever it is
        traceback.print_exc()
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return _refusal(f"it does not start: {reason}", os.EX_SOFTWARE)


def _try(state: int, inherited: tuple[str, ...], argv: Sequence[str]) -> dict[str, Any]:
    for name in ("cli.serve", "worker.main", "worker.memory", "supervisor.succession"):
        import_module(f"granian_d.{name}")
    answer: dict[str, Any] = import_module("granian_d.cli.planner").answer(
        argv, os.environ, inherited
    )
    if "plan" not in answer:
        return answer
    plan = import_module("granian_d.plan").decode(answer["plan"])
    import_module("granian_d.worker.main").prepare(plan)
    errors = import_module("granian_d.errors")
    try:
        import_module("granian_d.supervisor.handover").read(state, plan)
    except errors.DaemonError as error:
        return _refusal(str(error), error.exit_code)
    return answer


def _refusal(reason: str, exit_code: int) -> dict[str, Any]:
    return {"error": reason, "exit_code": exit_code}


if __name__ == "__main__":
    sys.exit(main())
