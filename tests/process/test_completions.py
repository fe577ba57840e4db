"""The completions in the shells themselves: what each would propose."""

import os
import pty
import subprocess

import pytest

from granian_d.cli import completions
from granian_d.cli.commands import granian_d, granianctl
from tests.process.tools import need

SECONDS = 60  # more than any shell needs; it ends by itself
PROGRAMS = {"granian-d": granian_d, "granianctl": granianctl}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the shells stand: two instances, a file and a directory."""
    place = tmp_path_factory.mktemp("place")
    (place / "etc").mkdir()
    for name in ("shop.toml", "blog.toml", "shop.env"):
        (place / "etc" / name).touch()
    (place / "here" / "some dir").mkdir(parents=True)
    (place / "here" / "some.toml").touch()
    return place


def run(command, place, **environ):
    clean = {"PATH": os.environ["PATH"], "HOME": str(place), "LC_ALL": "C.UTF-8", **environ}
    done = subprocess.run(
        command,
        cwd=place / "here",
        env=clean,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert done.stderr == ""
    return done.stdout


# Splits the line at = as readline does, which keeps it as a word of its own.
BASH = r"""
source "$1"
COMP_LINE=$2
COMP_WORDS=(${2//=/ = })
[[ $2 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p "${COMP_WORDS[0]}")
function=${function#complete -F }
"${function%% *}"
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
"""


def in_bash(line, place):
    program = line.split()[0]
    file = place / f"{program}.bash"
    file.write_text(completions.bash(PROGRAMS[program](), place / "etc"))
    script = [need("bash", "bash"), "--norc", "-uc", BASH, "bash", str(file), line]
    return run(script, place).splitlines()


def in_fish(line, place):
    program = line.split()[0]
    file = place / f"{program}.fish"
    file.write_text(completions.fish(PROGRAMS[program](), place / "etc"))
    config = {"XDG_CONFIG_HOME": str(place / "config"), "XDG_DATA_HOME": str(place / "data")}
    script = "source $argv[1]; complete -C $argv[2]"
    told = run([need("fish", "fish"), "-c", script, str(file), line], place, **config)
    # A directory is written as text of a command line; the description is behind a tabulator.
    return [row.split("\t")[0].replace("\\ ", " ").rstrip("/") for row in told.splitlines()]


# Completion takes place in the line editor only: as soon as it is ready it has the line, completes,
# and ends the shell. Every match passes compadd, which writes it down; nothing is shown.
ZSHRC = r"""
fpath=($SITE_FUNCTIONS $fpath)
autoload -Uz compinit
compinit -u -d $HOME/dump
compadd() {
    if (( ! ${@[(I)-[OAD]]} )); then  # with these it is only asked what would match
        local -a matches
        builtin compadd -O matches "$@"
        (( $#matches )) && print -rl -- $matches >> $PROPOSED
    fi
    builtin compadd "$@"
}
propose() {
    _main_complete
    compstate[list]='' compstate[insert]=''
}
zle -C propose list-choices propose
zle-line-init() {
    BUFFER=$LINE_TO_COMPLETE
    CURSOR=$#BUFFER
    zle propose
    exit 0
}
zle -N zle-line-init
"""


def in_zsh(line, place):
    zsh = need("zsh", "zsh")
    (place / "functions").mkdir(exist_ok=True)
    for program, command in PROGRAMS.items():
        text = completions.zsh(command(), place / "etc")
        (place / "functions" / f"_{program}").write_text(text)
    (place / ".zshrc").write_text(ZSHRC)
    proposed = place / "proposed"
    proposed.write_text("")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "ZDOTDIR": str(place),
        "TERM": "dumb",
        "SITE_FUNCTIONS": str(place / "functions"),
        "PROPOSED": str(proposed),
        "LINE_TO_COMPLETE": line,
    }
    ours, its = pty.openpty()
    try:
        terminal = {"stdin": its, "stdout": its, "stderr": its, "start_new_session": True}
        subprocess.run(
            [zsh, "-d", "-i"],
            cwd=place / "here",
            env=environ,
            check=True,
            timeout=SECONDS,
            **terminal,
        )
    finally:
        os.close(its)
        os.close(ours)
    return proposed.read_text().replace("\\ ", " ").splitlines()


SHELLS = {"bash": in_bash, "zsh": in_zsh, "fish": in_fish}

NAMES = {"asgi", "asginl", "wsgi", "rsgi"}

# What must be among the proposals, and what must not although it is there elsewhere.
CASES = [
    (
        "granian-d --work",
        {"--workers", "--working-dir", "--workers-min"},
        "--websocket-compression",
    ),
    ("granian-d --no-can", {"--no-canary"}, "--canary"),
    ("granian-d --interface ", NAMES, "some.toml"),
    ("granian-d --log-level w", {"warning", "warn"}, "info"),
    ("granian-d --workers ", set(), "some.toml"),
    ("granian-d --config some", {"some.toml", "some dir"}, "--config"),
    ("granian-d -c some", {"some.toml"}, "--config"),
    ("granian-d --working-dir some", {"some dir"}, "some.toml"),
    ("granian-d some", {"some.toml"}, "--config"),
    ("granianctl ", {command.name for command in granianctl().commands}, "some.toml"),
    ("granianctl rel", {"reload"}, "status"),
    ("granianctl reload --w", {"--wait"}, "--json"),
    ("granianctl status -i ", {"shop", "blog"}, "some.toml"),
    ("granianctl status --instance s", {"shop"}, "blog"),
    ("granianctl status --socket some", {"some.toml"}, "shop"),
    ("granianctl unit ", {"shop", "blog"}, "status"),
    ("granianctl check some", {"some.toml"}, "shop"),
    ("granianctl config --interface ", NAMES, "some.toml"),
    ("granianctl config --workers-m", {"--workers-min", "--workers-max"}, "--wait"),
]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("line", "wanted", "stranger"), CASES, ids=[case[0] for case in CASES])
def test_what_belongs_there_is_proposed(shell, line, wanted, stranger, place):
    # zsh adds a suffix to a flag that takes a value only when it is chosen.
    proposed = {word.removesuffix("=") for word in SHELLS[shell](line, place)}
    assert wanted <= proposed
    assert stranger not in proposed


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_flag_is_proposed(shell, program, place):
    proposed = {word.removesuffix("=") for word in SHELLS[shell](f"{program} -", place)}
    flags = {flag for argument in PROGRAMS[program]().arguments for flag in argument.flags}
    assert flags <= proposed


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("granian-d --interface=", {"asgi", "asginl", "wsgi", "rsgi"}),
        ("granian-d --http=", {"auto", "1", "2"}),
        ("granian-d --loop=uv", {"uvloop"}),
        ("granianctl reload --instance=b", {"blog"}),
    ],
)
def test_bash_completes_behind_an_equals_sign(line, words, place):
    assert set(in_bash(line, place)) == words


@pytest.mark.parametrize("shell", SHELLS)
def test_where_there_is_no_instance_none_is_proposed(shell, tmp_path):
    (tmp_path / "here").mkdir()
    assert SHELLS[shell]("granianctl unit ", tmp_path) == []
