"""What `granianctl unit` computes from a TOML file."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from granian_d.cli import granianctl, unit_file, unit_places

UNITS = Path(__file__).parents[3] / "systemd"


@pytest.fixture
def unit(tmp_path, monkeypatch, capsys):
    """The drop-in for an application with these settings, as {directive: value}.

    systemd finds granian-d, and units in a directory of the test only.
    """
    monkeypatch.setattr(unit_file, "CONFIGURATION", tmp_path)
    monkeypatch.setattr(unit_file, "UNITS", tmp_path / "system")
    monkeypatch.setattr(unit_places, "_PACKAGED", (str(tmp_path / "packaged"),))
    monkeypatch.setattr(unit_places, "PROGRAMS", (os.path.dirname(sys.executable),))

    def unit(settings: str = "", systemd: int = 252) -> dict[str, str]:
        (tmp_path / "shop.toml").write_text(f'app = "main:app"\n{settings}\n')
        assert granianctl.main(["unit", "shop", "--systemd", str(systemd)]) == 0
        return directives(capsys.readouterr().out)

    return unit


def directives(text: str) -> dict[str, str]:
    """Of a unit: the last value of each."""
    lines = [line for line in text.splitlines() if "=" in line and line[0] != "#"]
    return dict(line.split("=", 1) for line in lines)


def test_the_manager_waits_longer_than_the_budgets_of_a_stop(unit):
    assert unit()["TimeoutStopSec"] == "45"
    budgets = "drain_delay = 10\nworkers_kill_timeout = 60\nworkers_stream_timeout = 300"
    assert unit(budgets)["TimeoutStopSec"] == "325"


def test_the_watchdog_leaves_time_to_replace_who_hangs(unit):
    assert unit()["WatchdogSec"] == "30"
    assert unit("workers_stall_timeout = 120")["WatchdogSec"] == "75"
    assert unit("workers_stall_timeout = 0")["WatchdogSec"] == "30"


def test_a_capability_is_given_where_a_port_needs_it(unit):
    assert "AmbientCapabilities" not in unit('listen = ["127.0.0.1:8000"]')
    assert unit('listen = ["127.0.0.1:443"]')["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE"


def test_sockets_that_systemd_holds_are_required(unit):
    assert "Requires" not in unit()
    assert unit('listen = ["systemd:http"]')["Requires"] == "granian@shop.socket"
    several = unit('listen = ["systemd:http", "systemd:https", "127.0.0.1:8000"]')
    assert several["Requires"] == "granian@shop.socket granian-https@shop.socket"


def test_directives_that_this_systemd_does_not_know_are_left_out(unit):
    assert "RestartSteps" not in unit(systemd=253)
    shipped = (UNITS / "granian@.service.d/back-off.conf").read_text()
    assert unit(systemd=254).items() >= directives(shipped).items()


def test_defaults_ask_for_what_the_unit_says_already(unit):
    shipped = directives((UNITS / "granian@.service").read_text())
    assert unit().items() <= shipped.items()


def test_programs_elsewhere_are_named(unit, tmp_path, monkeypatch):
    monkeypatch.setattr(unit_places, "PROGRAMS", (str(tmp_path),))
    own = os.path.dirname(sys.executable)
    assert unit()["ExecStart"] == f"{own}/granian-d --config /etc/granian/%i.toml"
    assert unit()["ExecReload"] == f"{own}/granianctl reload --wait"
    other = tmp_path / "granian-d"
    other.touch()
    assert unit()["ExecStart"].startswith(own), "that is another installation"


def test_code_that_the_sandbox_hides_is_shown(unit, tmp_path, monkeypatch):
    monkeypatch.setattr(unit_places, "_HIDDEN", (str(tmp_path / "home"),))
    site = tmp_path / "home/me/site 50%"
    site.mkdir(parents=True)
    assert "BindReadOnlyPaths" not in unit(f"working_dir = '{tmp_path}'")
    shown = str(site).replace("%", "%%")
    assert unit(f"working_dir = '{site}'")["BindReadOnlyPaths"] == f'"{shown}"'


def test_paths_within_others_are_shown_with_them():
    paths = ["/home/a/.venv", "/home/a", "/srv/b", "", "/home/ab"]
    assert unit_places.hidden(paths) == ["/home/a", "/home/ab"]


def test_it_is_installed_with_the_units_that_are_not_there(unit, tmp_path, capsys):
    unit()
    (tmp_path / "packaged").mkdir()
    (tmp_path / "packaged/granian@.socket").touch()
    assert granianctl.main(["unit", "shop", "--systemd", "252", "--install"]) == 0
    system = tmp_path / "system"
    drop_in = system / "granian@shop.service.d/computed.conf"
    assert "TimeoutStopSec=45" in drop_in.read_text()
    service = system / "granian@.service"
    assert service.read_text() == (UNITS / "granian@.service").read_text()
    assert not (system / "granian@.socket").exists()
    said = capsys.readouterr().out
    assert f"{drop_in}: written\n" in said
    assert "systemctl enable --now granian@shop" in said
    service.write_text("the administrator's\n")
    assert granianctl.main(["unit", "shop", "--systemd", "252", "--install"]) == 0
    assert service.read_text() == "the administrator's\n"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_its_exposure_is_told(unit, capsys):
    unit('listen = ["127.0.0.1:443"]')
    granianctl.main(["unit", "shop", "--systemd", "252"])
    told = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"# Overall exposure level for granian@shop.service: 1\.\d OK", told)


@pytest.mark.parametrize("name", ["../etc/passwd", "", "nobody"])
def test_what_is_no_application_is_refused(unit, name):
    assert granianctl.main(["unit", name, "--systemd", "252"]) == 78
