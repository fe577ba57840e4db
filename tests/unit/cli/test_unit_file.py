"""What `granianctl unit` computes from a TOML file."""

from __future__ import annotations

from pathlib import Path

import pytest

from granian_d.cli import granianctl, unit_file

UNITS = Path(__file__).parents[3] / "systemd"


@pytest.fixture
def unit(tmp_path, monkeypatch, capsys):
    """The drop-in for an application with these settings, as {directive: value}."""
    monkeypatch.setattr(unit_file, "CONFIGURATION", tmp_path)

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


def test_directives_that_this_systemd_does_not_know_are_left_out(unit):
    assert "RestartSteps" not in unit(systemd=253)
    shipped = (UNITS / "granian@.service.d/back-off.conf").read_text()
    assert unit(systemd=254).items() >= directives(shipped).items()


def test_defaults_ask_for_what_the_unit_says_already(unit):
    shipped = directives((UNITS / "granian@.service").read_text())
    assert unit().items() <= shipped.items()


def test_it_is_installed_as_a_drop_in(unit, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(unit_file, "UNITS", tmp_path / "system")
    unit()
    assert granianctl.main(["unit", "shop", "--systemd", "252", "--install"]) == 0
    path = tmp_path / "system/granian@shop.service.d/computed.conf"
    assert "TimeoutStopSec=45" in path.read_text()
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../etc/passwd", "", "nobody"])
def test_what_is_no_application_is_refused(unit, name):
    assert granianctl.main(["unit", name, "--systemd", "252"]) == 78
