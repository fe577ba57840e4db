"""`granianctl`: operate a daemon, and examine settings without one.

    granianctl status [--json]            how the service is
    granianctl reload [--wait]            a new generation; with --wait, until it serves or failed
    granianctl scale N                    that many workers, until the next reload
    granianctl upgrade [--wait]           become the granian-d that is installed now
    granianctl pin                        import all that would be imported later
    granianctl stop | quit                finish what is under way and end | end at once
    granianctl dump WORKER|all            stacks of all tasks and threads of a worker
    granianctl check FILE [--app]         judge a TOML file; with --app import its application too
    granianctl unit NAME [--install]      what systemd should know of an application
    granianctl doctor [NAME]              what is wrong with an instance, and how to mend it
    granianctl config [ARGUMENT]...       the effective values of `granian-d ARGUMENT...`
    granianctl sample                     a TOML file with all options
    granianctl reference                  docs/settings.md

Exit status: 0, or that of the error: 78 for settings, 65 and 70 for the application, 71 for an
address, 69 when no daemon answers, 75 when it does not in time. What a command needs is imported
when it is chosen: a reload must not wait for the machinery of settings.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from granian_d import __version__
from granian_d.errors import DaemonError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130  # 128 + SIGINT, as shells say it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except DaemonError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(words: list[str]) -> int:
    # What follows `config` is granian-d's command line and none of argparse's business.
    if words[:1] == ["config"] and words[1:] not in (["-h"], ["--help"]):
        from granian_d.cli import examine  # noqa: PLC0415 - settings are slow to import

        return examine.config(words[1:])
    arguments = command_line().parse_args(words)
    if arguments.command == "unit":
        from granian_d.cli import unit_file  # noqa: PLC0415 - as above

        return unit_file.run(arguments.name, install=arguments.install, systemd=arguments.systemd)
    if arguments.command == "doctor":
        from granian_d.cli.doctor import command  # noqa: PLC0415 - as above

        return command.run(arguments.name, arguments.config, as_json=arguments.json)
    if arguments.command not in ("check", "sample", "reference"):
        from granian_d.cli import operate  # noqa: PLC0415 - who examines needs none of it

        return operate.run(arguments)
    from granian_d.cli import examine  # noqa: PLC0415 - as above

    if arguments.command == "sample":
        return examine.print_sample()
    if arguments.command == "reference":
        return examine.print_reference()
    return examine.check(arguments.file, with_application=arguments.app)


def command_line() -> argparse.ArgumentParser:
    """What may be written behind `granianctl`."""
    parser = argparse.ArgumentParser(
        prog="granianctl",
        description="Operate a daemon, or examine settings of granian-d.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"granianctl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_operating(commands)
    _add_examining(commands)
    return parser


def _add_examining(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
    unit = commands.add_parser(
        "unit", help="print a drop-in of granian@NAME.service, computed", allow_abbrev=False
    )
    unit.add_argument("name", metavar="NAME", help="of the application: /etc/granian/NAME.toml")
    unit.add_argument("--install", action="store_true", help="write it to /etc/systemd/system")
    unit.add_argument("--systemd", type=int, metavar="VERSION", help="instead of the one here")
    doctor = commands.add_parser(
        "doctor", help="say what is wrong with an instance, and how to mend it", allow_abbrev=False
    )
    subject = doctor.add_mutually_exclusive_group()
    subject.add_argument(
        "name", metavar="NAME", nargs="?", help="of an instance; else all of /etc/granian"
    )
    subject.add_argument("-c", "--config", metavar="FILE", help="a TOML file, instead")
    doctor.add_argument("--json", action="store_true", help="for machines, see docs/doctor.md")
    commands.add_parser("sample", help="print a TOML file with all options")
    commands.add_parser("reference", help="print the reference of all options, in Markdown")


def _add_operating(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    where = argparse.ArgumentParser(add_help=False)
    place = where.add_mutually_exclusive_group()
    place.add_argument("--socket", metavar="PATH", help="control socket of the daemon")
    place.add_argument(
        "-i", "--instance", metavar="NAME", help="the daemon of /run/granian/NAME/control.sock"
    )

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, parents=[where], allow_abbrev=False)

    status = add("status", "how the service is")
    status.add_argument("--json", action="store_true", help="for machines, see docs/control.md")
    for name, text in (
        ("reload", "replace all workers by new ones, with the configuration of now"),
        ("upgrade", "become the granian-d that is installed now"),
    ):
        change = add(name, text)
        change.add_argument(
            "--wait", action="store_true", help="show how it goes; end when it is over, as it did"
        )
        change.add_argument(
            "--timeout",
            type=_seconds,
            metavar="SECONDS",
            help="with --wait: give up then (75), the daemon goes on; else its own deadlines count",
        )
    add("scale", "have so many workers, until the next reload").add_argument(
        "workers", type=int, metavar="N"
    )
    add("pin", "import all of this release now: its files are about to be replaced")
    add("stop", "finish what is under way and end")
    add("quit", "end at once")
    add("dump", "stacks of all tasks and threads of a worker").add_argument(
        "worker", type=_slot, metavar="WORKER", help="its number, or all"
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError(text)
    return seconds


def _slot(text: str) -> int:
    """A worker's number; 0 for all."""
    slot = 0 if text == "all" else int(text)
    if slot < 0 or (slot == 0 and text != "all"):
        raise ValueError(text)
    return slot


if __name__ == "__main__":
    sys.exit(main())
