"""Completions of both programs for bash, zsh and fish, from their command lines as data.

Each is a whole file, as the shell looks for it (bash-completion, $fpath, vendor_completions.d), and
asks for nothing beyond the shell itself. An instance is known by its file in `directory`.
"""

from __future__ import annotations

import textwrap
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePath

    from granian_d.cli.commands import Argument, Command

_HEAD: Final = (
    "# Rendered by `python -m tests.golden.regenerate` from granian_d/cli/completions.py."
)
_ENDS: Final = frozenset(("--help", "--version"))  # nothing is of use beside these


def _quoted(text: str) -> str:
    """Text as one word of bash or zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def _flags(command: Command) -> list[Argument]:
    return [argument for argument in command.arguments if argument.flags]


def _operands(command: Command) -> list[Argument]:
    return [argument for argument in command.arguments if not argument.flags]


# --- bash --------------------------------------------------------------------------------------

_BASH: Final = """\
@HEAD@

@FUNCTION@() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' flags='' words='' found='' at file
    COMPREPLY=()
    # --flag=value arrives in three words: = is one of COMP_WORDBREAKS.
    if [[ $current == = ]]; then
        current=''
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
@COMMAND@@CASES@
    if [[ $current == -* || -z $words$found ]]; then
        words=$flags found=''
    fi
    case $found in
    file | directory)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -A "$found" -- "$current")
        return
        ;;
    instance)
        for file in @DIRECTORY@/*.toml; do
            file=${file##*/}
            [[ $file == '*.toml' ]] || words+=" ${file%.toml}"
        done
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F @FUNCTION@ @PROGRAM@
"""

_BASH_COMMAND: Final = """\
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ ${COMP_WORDS[at]} != -* ]]; then
            command=${COMP_WORDS[at]}
            break
        fi
    done
"""


def bash(program: Command, directory: PurePath) -> str:
    """share/bash-completion/completions/PROGRAM."""
    if program.commands:
        cases = ["case $command in", *_bash_command(program, "''")]
        for command in program.commands:
            cases += _bash_command(command, command.name)
        cases.append("esac")
    else:
        cases = [*_bash_case(program)]
    parts = {
        "@HEAD@": _HEAD,
        "@FUNCTION@": "_" + program.name.replace("-", "_"),
        "@PROGRAM@": program.name,
        "@DIRECTORY@": str(directory),
        "@COMMAND@": _BASH_COMMAND if program.commands else "",
        "@CASES@": textwrap.indent("\n".join(cases), "    "),
    }
    text = _BASH
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text


def _bash_command(command: Command, pattern: str) -> Iterator[str]:
    yield f"{pattern})"
    yield from (f"    {line}" for line in _bash_case(command))
    yield "    ;;"


def _bash_case(command: Command) -> Iterator[str]:
    """What may come next, by the word before."""
    flags = _flags(command)
    by_effect: dict[str, list[str]] = {}
    for argument in flags:
        if argument.metavar:
            by_effect.setdefault(_bash_value(argument) or "return", []).extend(argument.flags)
    yield "case $before in"
    for effect, names in by_effect.items():
        pattern = _folded("\0| ".join(names)).replace("\0", " ")
        yield pattern.replace("\n", " \\\n    ") + f") {effect} ;;"
    yield "*)"
    every = _folded(" ".join(chain.from_iterable(one.flags for one in flags)))
    yield f"    flags={_quoted(every)}"
    if command.commands:
        yield f"    words={_quoted(_folded(' '.join(one.name for one in command.commands)))}"
    for operand in _operands(command):
        if value := _bash_value(operand):
            yield f"    {value}"
    yield from ("    ;;", "esac")


def _folded(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 88, break_on_hyphens=False, break_long_words=False))


def _bash_value(argument: Argument) -> str:
    if argument.words:
        return f"words={_quoted(' '.join(argument.words))}"
    return f"found={argument.found}" if argument.found else ""


# --- zsh ---------------------------------------------------------------------------------------


def zsh(program: Command, directory: PurePath) -> str:
    """share/zsh/site-functions/_PROGRAM."""
    lines = [f"#compdef {program.name}", _HEAD, ""]
    if any(one.found == "instance" for command in program.commands for one in command.arguments):
        lines += [
            f"_{program.name}_instances() {{",
            "    local -a names expl",
            f"    names=({directory}/*.toml(N:t:r))",
            "    _wanted instances expl instance compadd -a names",
            "}",
            "",
        ]
    lines.append(f"_{program.name}() {{")
    lines += _zsh_commands(program) if program.commands else _zsh_arguments(program, program, 1)
    lines += ["}", "", f'_{program.name} "$@"', ""]
    return "\n".join(lines)


def _zsh_commands(program: Command) -> Iterator[str]:
    yield "    local curcontext=$curcontext state line"
    yield "    local -a commands"
    yield "    typeset -A opt_args"
    yield "    commands=("
    for command in program.commands:
        yield f"        {_quoted(f'{command.name}:{command.help}')}"
    yield "    )"
    yield "    _arguments -C : \\"
    yield from (f"        {_zsh_flag(program, flag)} \\" for flag in _flags(program))
    yield "        '1:command:->command' '*::argument:->argument' && return"
    yield "    case $state in"
    yield "    command) _describe -t commands command commands ;;"
    yield "    argument)"
    yield "        case $words[1] in"
    for command in program.commands:
        yield f"        {command.name})"
        yield from _zsh_arguments(program, command, 3)
        yield "            ;;"
    yield from ("        esac", "        ;;", "    esac")


def _zsh_arguments(program: Command, command: Command, depth: int) -> Iterator[str]:
    margin = "    " * depth
    specs = [_zsh_flag(program, flag) for flag in _flags(command)]
    for place, operand in enumerate(_operands(command), 1):
        colons = ":" if operand.required else "::"
        specs.append(_quoted(f"{place}{colons}{_zsh_value(program, operand)}"))
    yield f"{margin}_arguments : \\"
    yield " \\\n".join(f"{margin}    {spec}" for spec in specs)


def _zsh_flag(program: Command, argument: Argument) -> str:
    """A specification of _arguments: zshcompsys(1)."""
    told = argument.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    value = f":{_zsh_value(program, argument)}" if argument.metavar else ""
    names = [_zsh_name(flag, bool(value)) for flag in argument.flags]
    rest = _quoted(f"[{told}]{value}")
    others = "- *" if _ENDS & {*argument.flags} else " ".join(argument.flags)
    excluded = "*" if argument.multiple else f"({others})"
    if len(names) == 1:
        return f"{_quoted(excluded)}{names[0]}{rest}"
    return f"{_quoted(excluded)}{{{','.join(names)}}}{rest}"


def _zsh_name(flag: str, takes_value: bool) -> str:
    if not takes_value:
        return flag
    return f"{flag}=" if flag.startswith("--") else f"{flag}+"


def _zsh_value(program: Command, argument: Argument) -> str:
    """The message and the action."""
    actions = {
        "file": "_files",
        "directory": "_files -/",
        "instance": f"_{program.name}_instances",
        "": f"({' '.join(argument.words)})" if argument.words else " ",
    }
    placeholder = argument.metavar.replace(":", "\\:")
    return f"{placeholder}:{actions[argument.found]}"


# --- fish --------------------------------------------------------------------------------------


def fish(program: Command, directory: PurePath) -> str:
    """share/fish/vendor_completions.d/PROGRAM.fish."""
    lines = [_HEAD, ""]
    if not program.commands:
        lines += _fish_arguments(program, program, "")
        return "\n".join(lines) + "\n"
    lines += [
        f"function __{program.name}_instances",
        f"    for file in {directory}/*.toml",
        "        string replace -r '.*/(.*)\\.toml$' '$1' -- $file",
        "    end",
        "end",
        "",
        f"complete -c {program.name} -f",
    ]
    alone = "-n __fish_use_subcommand"
    lines += _fish_arguments(program, program, alone)
    for command in program.commands:
        told = _fish_quoted(command.help)
        lines.append(f"complete -c {program.name} {alone} -a {command.name} -d {told}")
    for command in program.commands:
        condition = f"-n '__fish_seen_subcommand_from {command.name}'"
        lines += ["", *_fish_arguments(program, command, condition)]
    return "\n".join(lines) + "\n"


def _fish_arguments(program: Command, command: Command, condition: str) -> Iterator[str]:
    for argument in command.arguments:
        value = _fish_value(program, argument)
        if not argument.flags and not value:
            continue
        words = ["complete", "-c", program.name, condition]
        words += (
            f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
            for flag in argument.flags
        )
        if argument.flags and argument.metavar:
            words.append("-r" if value == "-F" else "-x")
        words.append(value)
        if argument.flags:
            words += ["-d", _fish_quoted(argument.help)]
        yield " ".join(filter(None, words))


def _fish_value(program: Command, argument: Argument) -> str:
    if argument.words:
        return f"-a {_fish_quoted(' '.join(argument.words))}"
    return {
        "file": "-F",
        "directory": "-a '(__fish_complete_directories)'",
        "instance": f"-a '(__{program.name}_instances)'",
        "": "",
    }[argument.found]


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
