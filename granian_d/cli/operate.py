"""The half of `granianctl` that talks to a daemon. It imports little: units reload with it."""

from __future__ import annotations

import glob
import os
import sys
from typing import TYPE_CHECKING, Final

from granian_d.control import wire
from granian_d.control.client import ask
from granian_d.errors import ControlTimeout, DaemonUnreachable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

INSTANCES: Final = "/run/granian"  # the units' RuntimeDirectory is granian/NAME
# For what the master answers by itself, in milliseconds; a report takes it longer where many
# workers are large.
ANSWER_S: Final = 30.0

# A reload that fails has said why already, on lines of these levels.
_GRAVE: Final = ("warning", "error", "critical")


def run(arguments: argparse.Namespace) -> int:
    """Ask what the command line says; the exit status.

    Raises:
        DaemonUnreachable: there is nobody to ask, or he does not answer.
    """
    path = find(arguments.socket, arguments.instance, os.environ)
    request = _request(arguments)
    waits = getattr(request, "wait", False)
    timeout_s = arguments.timeout if waits else ANSWER_S
    code = 0
    try:
        for told in ask(path, request, timeout_s):
            code = _tell(arguments, told.answer, told.text)
    except ControlTimeout as error:
        if not waits:
            raise
        raise ControlTimeout(f"{error}; the {arguments.command} goes on") from None
    return code


def find(socket: str | None, instance: str | None, environ: Mapping[str, str]) -> str:
    """The path of the control socket: as given, else where a service's own commands find it
    ($GRANIAN_CONTROL_SOCKET, $RUNTIME_DIRECTORY), else that of the only instance.

    Raises:
        DaemonUnreachable: there is none, or which one is meant cannot be told.
    """
    if socket:
        return socket
    if instance:
        return os.path.join(INSTANCES, instance, wire.SOCKET_NAME)
    directory = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    given = environ.get("GRANIAN_CONTROL_SOCKET", "")
    if given or directory:
        return os.path.join(directory, given or wire.SOCKET_NAME)
    pattern = os.path.join(INSTANCES, "*", wire.SOCKET_NAME)
    found = sorted(glob.glob(pattern))
    if len(found) == 1:
        return found[0]
    if not found:
        raise DaemonUnreachable(
            f"no daemon found: there is no {pattern}; name its control socket with --socket PATH"
        )
    names = ", ".join(os.path.basename(os.path.dirname(path)) for path in found)
    raise DaemonUnreachable(f"several daemons are here, name one with --instance: {names}")


def _request(arguments: argparse.Namespace) -> wire.Request:
    match arguments.command:
        case "status":
            return wire.Status()
        case "reload":
            return wire.Reload(arguments.wait)
        case "upgrade":
            return wire.Upgrade(arguments.wait)
        case "scale":
            return wire.Scale(arguments.workers)
        case "dump":
            return wire.Stacks(arguments.worker)
        case "pin":
            return wire.Pin()
        case "stop":
            return wire.Stop()
        case _:
            return wire.Quit()


def _tell(arguments: argparse.Namespace, answer: wire.Answer, text: str) -> int:
    """Show an answer; the exit status so far."""
    if isinstance(answer, wire.Phase):
        stream = sys.stderr if answer.level in _GRAVE else sys.stdout
        stream.write("".join(f"{line}\n" for line in _shown(answer.sentence)))
        stream.flush()
    elif isinstance(answer, wire.Document):
        sys.stdout.write("".join(_document(arguments, answer.title, text)))
        sys.stdout.flush()
    elif answer.exit_code:
        why = "\n".join(_shown(answer.reason)) or "no reason is known"
        sys.stderr.write(f"{arguments.command} failed: {why}\n")
        return answer.exit_code
    return 0


def _document(arguments: argparse.Namespace, title: str, text: str) -> Iterator[str]:
    if arguments.command in ("dump", "pin"):
        yield "".join(f"{line}\n" for line in [*_shown(title), *_shown(text)]) + "\n"
    elif arguments.json:
        yield text + "\n"
    else:
        from granian_d.cli.status_page import lines  # noqa: PLC0415 - a reload needs none of it

        yield "".join(f"{plain(line)}\n" for line in lines(text))


def _shown(text: str) -> list[str]:
    return [plain(line) for line in text.splitlines()]


def plain(line: str) -> str:
    """Without what a terminal would obey: a traceback or a path may hold anything."""
    return "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in line)
