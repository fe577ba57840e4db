"""What a program asks for: its arguments, and the plan that another process makes of them.

The planner is that of the daemon (cli.planner), so a program imports no pydantic, and a reload
judges the same arguments by the same code.
"""

from __future__ import annotations

import json
import os
import select
import signal
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from granian_d.cli.serve import program_planner_command
from granian_d.control.channel import sealed_memory
from granian_d.errors import ConfigError, DaemonError, told
from granian_d.event_loops import loops
from granian_d.plan import decode
from granian_d.supervisor import child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from granian_d.plan import DaemonPlan
    from granian_d.plan.model import LoopName

# Records of which each field is an option (granian_d.http).
RECORDS: Final = {"http1_settings": "http1_", "http2_settings": "http2_"}


class Request:
    """The arguments of a program, as the planner reads them.

    Args:
        arguments: by name, as given; None is not given.

    Attributes:
        loop: the name of a loop that only this program knows; "" for none.
        reload_filter: a class of watchfiles; None for its own.

    Raises:
        ConfigError: one of them cannot be told to another process.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        given = {name: value for name, value in arguments.items() if value is not None}
        self.reload_filter: Any = given.pop("reload_filter", None)
        self.loop = ""
        if loops.is_registered(str(given.get("loop", "auto"))):
            self.loop = str(given.pop("loop", "auto"))
        for name, prefix in RECORDS.items():
            record = given.pop(name, {})
            fields = record if isinstance(record, dict) else getattr(record, "__dict__", None)
            if fields is None:
                raise ConfigError(f"{name}: is not a record of granian_d.http")
            given = {prefix + field: value for field, value in fields.items()} | given
        keywords = {name: _plain(name, value) for name, value in given.items()}
        text = json.dumps({"keywords": keywords, "directory": os.getcwd()})
        self._answer = b""
        self._fd = sealed_memory(text.encode())

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def fileno(self) -> int:
        """Descriptor from which the planner is to read all of it."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        return self._fd

    def start(self, inherited: Sequence[str] = ()) -> child.PlannerProcess:
        """Start the planner."""
        command = partial(program_planner_command, inherited=inherited)
        return child.start_planner(command, self.fileno())

    def plan(self, inherited: Sequence[str] = ()) -> DaemonPlan:
        """The plan, when the planner has ended.

        Raises:
            ConfigError: an argument cannot be used.
            ListenError: a host name cannot be resolved.
            DaemonError: the planner failed.
        """
        planner = self.start(inherited)
        try:
            poll = select.poll()
            poll.register(planner.pidfd, select.POLLIN)
            poll.poll()
        except BaseException:  # Ctrl-C, say
            signal.pidfd_send_signal(planner.pidfd, signal.SIGKILL)
            raise
        finally:
            how = conclude(planner)
        return self.judge(planner, how)

    def judge(self, planner: child.PlannerProcess, how: str) -> DaemonPlan:
        """The plan that a planner has made. See `plan`.

        Args:
            planner: that has ended.
            how: it ended.
        """
        self._answer = bytes(planner.answer)
        try:
            record = json.loads(self._answer)
        except ValueError:
            raise DaemonError(f"the planner gave no answer ({how})") from None
        if "plan" not in record:
            raise told(record["error"], record["exit_code"])
        return self.complete(decode(record["plan"]))

    def take_answer(self) -> bytes:
        """What the last planner has answered, once; b"" after that."""
        answer, self._answer = self._answer, b""
        return answer

    def complete(self, plan: DaemonPlan) -> DaemonPlan:
        """The plan with what only this program knows."""
        if not self.loop:
            return plan
        name = cast("LoopName", self.loop)  # a word of the program's own
        return replace(plan, worker=replace(plan.worker, loop=name))


def conclude(planner: child.PlannerProcess) -> str:
    """Take a planner's answer and let go of it; how it ended."""
    planner.read()
    how = child.reap(planner.pid)
    planner.close()
    return how


def _plain(name: str, value: Any) -> Any:
    """The value as JSON has it.

    Raises:
        ConfigError: JSON has no such thing.
    """
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [_plain(name, one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(name, one) for key, one in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    what = f"{type(value).__module__}.{type(value).__qualname__}"
    raise ConfigError(f"{name}: {what} is no value that the daemon's other processes can be told")
