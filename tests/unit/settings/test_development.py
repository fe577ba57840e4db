"""Options of development: files of variables, what is watched, and what changes with it."""

from __future__ import annotations

import os
import sys

import pytest

from granian_d.errors import ConfigError
from granian_d.settings import load, remarks, resolve


def plan_of(*argv, environ=None):
    return resolve(load(["main", *argv], environ or {}))


def refused(*argv):
    with pytest.raises(ConfigError) as caught:
        plan_of(*argv)
    assert caught.value.exit_code == 78
    return str(caught.value)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestEnvFiles:
    def test_a_later_file_overrides_and_may_refer_to_an_earlier_one(self, here):
        (here / "one").write_text("A=1\nexport B='two words'\nHOME=/nowhere\nNOTHING\n")
        (here / "two").write_text("A=${A}2\n# C=no\n")
        plan = plan_of("--env-files", "one", "--env-files", "two", environ={"HOME": "/root"})
        assert plan.worker.environment == (("A", "12"), ("B", "two words"))

    def test_a_value_is_no_option_and_in_no_text(self, here):
        (here / "one").write_text("GRANIAN_PORT=1234\nTOKEN=hunter2\n")
        plan = plan_of("--env-files", "one")
        assert plan.listeners[0].port == 8000
        assert "hunter2" not in repr(plan)

    def test_the_file_belongs_to_the_directory_of_what_names_it(self, here):
        (here / "site").mkdir()
        (here / "site/app.toml").write_text('env_files = [".env"]')
        (here / "site/.env").write_text("A=1")
        assert plan_of("--config", "site/app.toml").worker.environment == (("A", "1"),)

    def test_what_cannot_be_read_is_refused_with_its_place_and_not_quoted(self, here):
        assert refused("--env-files", "gone") == (
            f"--env-files: {here}/gone cannot be read: No such file or directory"
        )
        for octets, reason in (
            (b"A=1\n'hunter2\n", ":2 is not NAME=VALUE"),
            (b"A=\xff\n", " is not UTF-8"),
        ):
            (here / "bad").write_bytes(octets)
            assert refused("--env-files", "bad") == f"--env-files: {here}/bad{reason}"
        (here / "bad").write_text('A="hunter2\0"\n')
        assert "hunter2" not in refused("--env-files", "bad")
        (here / "bad").write_text("A=" + "x" * (1 << 18))
        assert refused("--env-files", "bad") == "--env-files: more than 256 KiB"

    def test_an_examination_elsewhere_needs_no_file(self):
        loaded = load(["main", "--env-files", "gone"], {}, inherited=None)
        assert resolve(loaded).worker.environment == ()


class TestReload:
    def test_budgets_are_short_unless_they_were_given(self):
        pool = plan_of("--reload").pool
        assert (pool.drain_timeout_s, pool.stream_timeout_s, pool.stall_timeout_s) == (3, 1, 0)
        pool = plan_of("--reload", "--workers-kill-timeout", "9").pool
        assert (pool.drain_timeout_s, pool.stream_timeout_s) == (9, 1)
        pool = plan_of("--workers-kill-timeout", "9").pool
        assert (pool.drain_timeout_s, pool.stream_timeout_s, pool.stall_timeout_s) == (9, 9, 30)

    def test_pages_are_shown_exactly_where_files_are_watched(self):
        assert plan_of("--reload").worker.debug
        plan = plan_of("--reload-ignore-worker-failure")
        assert (plan.watch, plan.worker.debug) == (None, False)

    def test_a_stand_in_for_an_application_is_not_warmed_up(self):
        words = ("--warmup", "/", "--reload-ignore-worker-failure")
        assert plan_of(*words).worker.warmup == "/"
        assert plan_of(*words, "--reload").worker.warmup == ""

    def test_a_service_is_warned(self):
        environ = {"SYSTEMD_EXEC_PID": str(os.getppid())}
        assert "sees tracebacks" in "".join(remarks(load(["main", "--reload"], environ)))
        assert not remarks(load(["main", "--reload"], {"SYSTEMD_EXEC_PID": "1234567"}))
        assert not remarks(load(["main"], environ))


@pytest.mark.parametrize(
    ("words", "package", "extra"),
    [(["--reload"], "watchfiles", "reload"), (["--env-files", "x"], "dotenv", "dotenv")],
)
def test_what_is_not_installed_is_named_with_its_extra(monkeypatch, words, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    assert refused(*words).endswith(f"which is not installed: pip install granian-d[{extra}]")
