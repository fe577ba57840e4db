"""The manual pages: nothing is missing, and those who read them have no complaint."""

import subprocess

import pytest

from granian_d.cli import manual
from granian_d.cli.commands import granianctl
from granian_d.cli.granianctl import command_line
from granian_d.errors import ControlTimeout, DaemonError
from granian_d.settings import load
from granian_d.settings.manual import EXAMPLE
from granian_d.settings.options import OPTIONS
from granian_d.settings.sources import read_arguments
from tests.golden.regenerate import ROOT
from tests.process.tools import need

PAGES = {path.name: path for path in sorted((ROOT / "packaging/man").iterdir())}
# The date is left out on purpose: a page must not change from one day to the next.
KNOWN = 'missing date, using "": TH'


def bold(text: str) -> str:
    return f"\\fB{text.replace('-', chr(92) + '-')}\\fR"


@pytest.mark.parametrize("name", PAGES)
def test_mandoc_has_no_complaint(name):
    command = [need("mandoc", "mandoc"), "-Tlint", "-Wstyle", str(PAGES[name])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if not line.endswith(KNOWN)] == []


@pytest.mark.parametrize("name", PAGES)
def test_groff_has_no_complaint(name):
    command = [need("groff", "groff-base"), "-man", "-ww", "-Tutf8", "-Z", str(PAGES[name])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.key)
def test_every_option_is_on_both_pages(option):
    program = PAGES["granian-d.8"].read_text(encoding="utf-8")
    file = PAGES["granian.toml.5"].read_text(encoding="utf-8")
    flags = [] if option.positional else [option.flag]
    flags += [option.negative_flag] * option.switch + [option.short] * bool(option.short)
    assert all(bold(flag) in program for flag in flags)
    assert option.in_file == (f".TP\n{bold(option.key)}" in file)
    assert option.in_file == (bold(option.variable) in file)


def test_every_command_and_flag_of_granianctl_is_on_its_page():
    page = PAGES["granianctl.8"].read_text(encoding="utf-8")
    program = granianctl()
    assert {"status", "check", "config", "unit"} <= {command.name for command in program.commands}
    for command in program.commands:
        assert f".TP\n{bold(command.name)}" in page
        arguments = command.arguments if command.name != "config" else ()
        for argument in (*program.arguments, *arguments):
            assert all(bold(flag) in page for flag in argument.flags), (command.name, argument)


def errors(root: type[DaemonError]) -> list[type[DaemonError]]:
    return [found for one in root.__subclasses__() for found in (one, *errors(one))]


def test_every_error_with_an_exit_status_of_its_own_is_told():
    page = manual.granianctl_page()
    statuses = page.partition('.SH "EXIT STATUS"')[2].partition(".SH")[0]
    own = [error for error in errors(DaemonError) if "exit_code" in vars(error)]
    assert len(own) > 4
    for error in own:
        entry = statuses.partition(f".TP\n{bold(str(error.exit_code))}\n")[2].partition(".TP")[0]
        first = " ".join(error.__doc__.split()).split(". ")[0].rstrip(".")
        assert first in " ".join(entry.split()), error


def test_what_only_granianctl_meets_is_no_status_of_the_daemon():
    assert bold(str(ControlTimeout.exit_code)) in manual.granianctl_page()
    assert bold(str(ControlTimeout.exit_code)) not in manual.granian_d_page()


def test_the_example_of_granian_toml_is_valid(tmp_path):
    file = tmp_path / "shop.toml"
    file.write_text(EXAMPLE, encoding="utf-8")
    settings = load(["-c", str(file)], {}).settings
    assert settings.workers_kill_timeout == 60
    assert [listen.address.port for listen in settings.listen] == [8443, 8443]
    shown = PAGES["granian.toml.5"].read_text(encoding="utf-8").replace("\\-", "-")
    assert EXAMPLE in shown


@pytest.mark.parametrize("line", manual.EXAMPLES.text.splitlines())
def test_the_examples_of_granianctl_are_command_lines(line):
    program, *words = line.split()
    assert program == "granianctl"
    if words[0] == "config":
        assert read_arguments(words[1:]).values["workers"] == "4"
    else:
        assert command_line().parse_args(words).command == words[0]
