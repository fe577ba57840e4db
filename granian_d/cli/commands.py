"""The command lines of both programs as data, for their manual pages and completions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from granian_d.cli.granianctl import command_line
from granian_d.settings.kinds import Choice
from granian_d.settings.options import OPTIONS
from granian_d.settings.sources import HELP_FLAGS, VERSION_FLAGS
from granian_d.settings.usage import metavar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.settings.options import Option

Found = Literal["", "file", "directory", "instance"]


class Argument(NamedTuple):
    """A flag, or a word without one.

    Attributes:
        flags: as written; none of a word.
        metavar: placeholder of the value; "" where there is none.
        help: a sentence or less, without its full stop.
        words: all that the value may be, where these are few.
        found: what the value is looked for among.
        required: it cannot be left out.
        multiple: it may come several times.
    """

    flags: tuple[str, ...]
    metavar: str = ""
    help: str = ""
    words: tuple[str, ...] = ()
    found: Found = ""
    required: bool = False
    multiple: bool = False


class Command(NamedTuple):
    """A program, or one of its commands."""

    name: str
    help: str
    arguments: tuple[Argument, ...]
    commands: tuple[Command, ...] = ()


# What granianctl's placeholders stand for.
_FOUND: Final[dict[str, Found]] = {"FILE": "file", "PATH": "file", "NAME": "instance"}


def granian_d() -> Command:
    """The daemon."""
    of_options = (argument for option in OPTIONS.values() for argument in _of_option(option))
    others = (
        Argument(HELP_FLAGS, help="Print a summary of all options"),
        Argument(VERSION_FLAGS, help="Print the version"),
    )
    about = "Serve a Python web application"
    return Command("granian-d", about, (*of_options, *others))


def _of_option(option: Option) -> Iterator[Argument]:
    text = option.help.removesuffix(".")
    if option.switch:
        yield Argument((option.flag,), help=text)
        yield Argument((option.negative_flag,), help=f"Not: {text}")
        return
    kind = option.kind
    yield Argument(
        () if option.positional else tuple(filter(None, (option.short, option.flag))),
        metavar(option),
        text,
        tuple(kind.words) if isinstance(kind, Choice) else (),
        kind.found,
        multiple=option.multiple,
    )


def granianctl() -> Command:
    """The program that operates daemons."""
    whole = command_line()
    arguments, commands = _read(whole)
    return Command(whole.prog, str(whole.description), arguments, commands)


def _read(parser: argparse.ArgumentParser) -> tuple[tuple[Argument, ...], tuple[Command, ...]]:
    arguments: list[Argument] = []
    commands: list[Command] = []
    # argparse tells nobody what it was given: its own pages of help read the same attributes.
    for action in parser._actions:  # noqa: SLF001 - see above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            commands += _commands(action)
        else:
            arguments.append(_argument(action))
    return tuple(arguments), tuple(commands)


def _commands(
    action: argparse._SubParsersAction[argparse.ArgumentParser],
) -> Iterator[Command]:
    helps = {one.dest: str(one.help) for one in action._choices_actions}  # noqa: SLF001 - as above
    for name, parser in action.choices.items():
        # Behind `config` comes the other program's command line.
        arguments = granian_d().arguments if name == "config" else _read(parser)[0]
        yield Command(name, helps[name], arguments)


def _argument(action: argparse.Action) -> Argument:
    placeholder = str(action.metavar or "") if action.nargs != 0 else ""
    return Argument(
        tuple(action.option_strings),
        placeholder,
        action.help or "",
        tuple(map(str, action.choices or ())),
        _FOUND.get(placeholder, ""),
        required=action.required,
    )
