"""granian-d(8), granianctl(8), and docs/signals.md, which is a part of the first.

Options, commands, signals and exit statuses come from where they are defined; what stands here is
what only a reader needs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from granian_d.cli.commands import granianctl
from granian_d.cli.granianctl import INTERRUPTED
from granian_d.cli.operate import INSTANCES
from granian_d.cli.unit_file import CONFIGURATION
from granian_d.control.wire import SOCKET_NAME
from granian_d.errors import (
    ConfigError,
    ControlTimeout,
    DaemonError,
    DaemonUnreachable,
    ImportRaised,
    ListenError,
    LoadError,
    StartupError,
)
from granian_d.settings import manual
from granian_d.settings.page import (
    Block,
    Comment,
    Heading,
    Listing,
    Paragraph,
    Points,
    Table,
    markdown,
)
from granian_d.settings.reference import RENDERED
from granian_d.settings.roff import manual_page
from granian_d.supervisor.vocabulary import SIGNALS
from granian_d.systemd import activation, notify, pressure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from granian_d.cli.commands import Argument, Command

# With what a start or a change can fail.
_FAULTS: Final = (LoadError, ImportRaised, StartupError, ListenError, ConfigError)

_MADE: Final = Comment(f"{RENDERED} granian_d/cli/manual.py.")

# --- granian-d(8) ------------------------------------------------------------------------------

_ABOUT: Final = (
    Paragraph(
        "`granian-d` serves a Python web application (ASGI, WSGI or RSGI) over HTTP/1.1, HTTP/2 and"
        " WebSocket. It stays in the foreground and is made to be a service of `systemd`(1),"
        " `granian@`*NAME*`.service`; it runs without one, too."
    ),
    Paragraph(
        "Its first process, the master, binds the listening sockets or inherits them, and forks"
        " workers, which import the application and share the sockets. A reload is a transaction:"
        " the configuration is read again, new workers start, and only when they serve are the old"
        " ones drained. If anything of that fails, the old workers serve on, and the reason is in"
        " the log and in `systemctl status`."
    ),
    Paragraph(
        "*APP* is `module:attribute` or `path/to/file.py:attribute`. It may stand in the TOML file"
        " that `--config` names, with every other option: see `granian.toml`(5)."
    ),
)

_ENVIRONMENT: Final = Table(
    (),
    (
        ("`GRANIAN_*`", manual.VARIABLES),
        (
            ", ".join(f"`{name}`" for name in activation.VARIABLES),
            (
                "Sockets that the service manager passes, and what it has kept for the daemon:"
                " `sd_listen_fds`(3)."
            ),
        ),
        (
            ", ".join(f"`{name}`" for name in notify.VARIABLES),
            (
                "Where the service manager is told how the service is, and how often it wants to"
                " hear of it: `sd_notify`(3), `sd_watchdog_enabled`(3)."
            ),
        ),
        (
            "`RUNTIME_DIRECTORY`",
            (
                f"Directory of `{SOCKET_NAME}`, and of the pid file and Unix sockets with a"
                " relative path."
            ),
        ),
        ("`LOGS_DIRECTORY`", "Directory of log files with a relative path."),
        ("`CREDENTIALS_DIRECTORY`", "Directory of the files that `credential:`*NAME* stands for."),
        (
            "`JOURNAL_STREAM`",
            "Says that standard error is the journal: records have fields then.",
        ),
        ("`INVOCATION_ID`", "Is sent to the journal with each record."),
        (
            f"`{pressure.WATCH}`, `{pressure.WRITE}`",
            "What says that memory is short; workers give back then what they do not need.",
        ),
        ("`DEBUG_INVOCATION`", "If it is `1`, the log has level `debug`."),
    ),
)

_FILES: Final = (
    (f"`{CONFIGURATION}/`*NAME*`.toml`", "Settings of `granian@`*NAME*`.service`."),
    (
        f"`{CONFIGURATION}/`*NAME*`.env`",
        "Variables of its application, read by the service manager: the file may be root's alone.",
    ),
)
_CONTROL_SOCKET: Final = (
    f"`{INSTANCES}/`*NAME*`/{SOCKET_NAME}`",
    "Where `granianctl` finds it.",
)

_EXAMPLES: Final = (
    Paragraph("An application in the current directory, until Ctrl-C:"),
    Listing("granian-d --interface asgi --workers 2 main:app"),
    Paragraph(f"A service, whose settings are in `{CONFIGURATION}/shop.toml`:"),
    Listing(
        f"granianctl check --app {CONFIGURATION}/shop.toml\n"
        "systemctl enable --now granian@shop\n"
        "systemctl reload granian@shop"
    ),
)


def granian_d_page() -> str:
    """granian-d(8)."""
    return manual_page("granian-d", 8, _granian_d())


def _granian_d() -> Iterator[Block]:
    yield _MADE
    yield from (Heading("Name", 1), Paragraph("`granian-d` - serve a Python web application"))
    yield from (Heading("Synopsis", 1), Paragraph("`granian-d` [*OPTION*]... [*APP*]"))
    yield from (Heading("Description", 1), *_ABOUT)
    yield from (Heading("Options", 1), *manual.options())
    yield from (Heading("Environment", 1), _ENVIRONMENT)
    yield from (Heading("Signals", 1), *_signals())
    yield Heading("Exit status", 1)
    yield _exit_statuses(
        _FAULTS,
        {0: "It was stopped, or left because nobody came (`idle_exit`)."},
    )
    yield from (Heading("Files", 1), Table((), (*_FILES, _CONTROL_SOCKET)))
    yield from (Heading("Examples", 1), *_EXAMPLES)
    yield Heading("See also", 1)
    yield Paragraph(
        "`granianctl`(8), `granian.toml`(5), `systemctl`(1), `journalctl`(1), `systemd.service`(5),"
        " `systemd.socket`(5)"
    )


# --- signals -----------------------------------------------------------------------------------

_AS_TERM: Final = "as `SIGTERM`"
_WHAT_HAPPENS: Final[Mapping[str, str]] = {
    "TERM": "listeners are closed, workers drain within `workers_kill_timeout`, then the daemon"
    " ends. A second one: at once",
    "INT": _AS_TERM,
    "QUIT": "workers are killed",
    "HUP": "the configuration is read again; new workers start; when all of them serve, the old"
    " ones drain. What fails leaves the old ones serving",
    "USR1": "for log rotation, in the master and in all workers",
    "USR2": "the granian-d on disk is tried; if it can take over, the master becomes it and"
    " reloads: same process, same sockets, no request lost",
    "TTIN": "until the next reload",
    "TTOU": "until the next reload; the last one stays",
}


def signals_page() -> str:
    """docs/signals.md."""
    return markdown((Heading("Signals", 1), _MADE, *_signals()))


def _signals() -> Iterator[Block]:
    yield Paragraph(
        "What the master does when it gets a signal. Workers leave all of these to the master,"
        " except `SIGTERM`, which has the one worker that gets it replaced: it serves until its"
        " successor does."
    )
    yield Table(
        ("signal", "meaning", "what happens"),
        tuple(
            (f"`SIG{name}`", meaning, _WHAT_HAPPENS[name]) for name, (_, meaning) in SIGNALS.items()
        ),
    )
    yield Paragraph(
        "A signal that comes during a start: a stop ends it; a reload or an upgrade is remembered"
        " and follows; a change of the number of workers has no effect before the first workers"
        " serve. During a reload a stop ends it, and a later reload takes its place: what the"
        " earlier one has begun is given up. An upgrade waits for its end."
    )


# --- granianctl(8) -----------------------------------------------------------------------------

_SHARED: Final = 3  # an option of so many commands is explained once for all of them

_FINDING: Final = Points(
    (
        "`--socket` *PATH*",
        f"`--instance` *NAME*, which is `{INSTANCES}/`*NAME*`/{SOCKET_NAME}`",
        "`$GRANIAN_CONTROL_SOCKET`, below `$RUNTIME_DIRECTORY` if it is relative",
        f"`$RUNTIME_DIRECTORY/{SOCKET_NAME}`: the commands of a unit need not say whom they mean",
        f"the only instance below `{INSTANCES}`",
    )
)
_WHO_MAY: Final = Paragraph(
    "Root and the user that the master runs as may ask; everybody else is refused. What each"
    " command does to the service is what the signal of that name does, see `granian-d`(8); what"
    " `granianctl` adds is an answer."
)
EXAMPLES: Final = Listing(
    "granianctl status -i shop\n"
    "granianctl reload --wait -i shop\n"
    f"granianctl check --app {CONFIGURATION}/shop.toml\n"
    f"granianctl config -c {CONFIGURATION}/shop.toml --workers 4\n"
    "granianctl unit shop --install"
)


def granianctl_page() -> str:
    """granianctl(8)."""
    return manual_page("granianctl", 8, _granianctl())


def _granianctl() -> Iterator[Block]:
    program = granianctl()
    shared = _shared(program)
    yield _MADE
    yield Heading("Name", 1)
    yield Paragraph("`granianctl` - operate granian-d, or examine its settings")
    yield from (Heading("Synopsis", 1), Paragraph("`granianctl` *COMMAND* [*ARGUMENT*]..."))
    yield Heading("Description", 1)
    yield Paragraph(
        "`granianctl` asks a running `granian-d`(8) how it is or to change, and examines settings"
        " without one."
    )
    yield Heading("Commands", 1)
    yield Table((), tuple(_command(command, shared) for command in program.commands))
    yield Heading("Options", 1)
    yield Table((), tuple(_option(argument, names) for argument, names in shared.items()))
    yield Heading("How a daemon is found", 1)
    yield from (Paragraph("By the first of these that there is:"), _FINDING, _WHO_MAY)
    yield Heading("Exit status", 1)
    yield _exit_statuses(
        (*_FAULTS, DaemonUnreachable, ControlTimeout),
        {
            0: "It is done; of a change without `--wait`: it has begun.",
            2: "The command line is not understood.",
            os.EX_USAGE: "A number out of range, or a worker that there is not.",
            os.EX_NOPERM: "It is somebody else's daemon.",
            os.EX_TEMPFAIL: "The service is about to stop.",
            INTERRUPTED: "It was interrupted; the daemon goes on with what it was asked.",
        },
    )
    yield from (Heading("Files", 1), Table((), (*_FILES[:1], _CONTROL_SOCKET)))
    yield from (Heading("Examples", 1), EXAMPLES)
    yield from (Heading("See also", 1), Paragraph("`granian-d`(8), `granian.toml`(5)"))


def _shared(program: Command) -> dict[Argument, list[str]]:
    """The options of several commands and of the program itself, and whose they are."""
    names: dict[Argument, list[str]] = {argument: [] for argument in program.arguments}
    for command in program.commands:
        for argument in command.arguments:
            if argument.flags:
                names.setdefault(argument, []).append(command.name)
    return {
        argument: of
        for argument, of in names.items()
        if argument in program.arguments or len(of) >= _SHARED
    }


def _command(command: Command, shared: Mapping[Argument, list[str]]) -> tuple[str, ...]:
    if command.name == "config":
        return (
            "`config` [*ARGUMENT*]...",
            _sentence(command.help),
            "The arguments are those of `granian-d`(8).",
        )
    own = [argument for argument in command.arguments if argument not in shared]
    words = (_written(one) if one.required else f"[{_written(one)}]" for one in own)
    told = (f"{_written(one)}: {one.help}." for one in own if one.help)
    return " ".join([f"`{command.name}`", *words]), _sentence(command.help), *told


def _option(argument: Argument, names: list[str]) -> tuple[str, ...]:
    whose = "" if "-h" in argument.flags or not names else f"Of {', '.join(names)}."
    return _written(argument), _sentence(argument.help), whose


def _written(argument: Argument) -> str:
    flags = ", ".join(f"`{flag}`" for flag in argument.flags)
    return " ".join(filter(None, (flags, argument.metavar and f"*{argument.metavar}*")))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


# --- both --------------------------------------------------------------------------------------


def _exit_statuses(errors: tuple[type[DaemonError], ...], others: Mapping[int, str]) -> Table:
    """What each status means: of the errors, the first sentence about them."""
    told: dict[int, list[str]] = {code: [text] for code, text in others.items()}
    for error in errors:
        first = " ".join(str(error.__doc__).split()).partition(". ")[0].removesuffix(".") + "."
        told.setdefault(error.exit_code, []).append(first)
    return Table((), tuple((f"`{code}`", *told[code]) for code in sorted(told)))
