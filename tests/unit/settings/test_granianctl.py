"""granianctl: what it prints, where, and its exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from granian_d.cli import granianctl
from granian_d.settings.reference import reference
from granian_d.settings.render import sample


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("GRANIAN_"):
            monkeypatch.delenv(name)


@pytest.fixture
def run(capfd):
    def run(*argv):
        status = granianctl.main(argv)
        out, err = capfd.readouterr()
        return status, out, err

    return run


def check_app(*argv):
    """In a process of its own: the child that imports must not be a fork of the test runner."""
    done = subprocess.run(
        [sys.executable, "-m", "granian_d.cli.granianctl", "check", *argv, "--app"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


class TestCheck:
    def test_a_good_file(self, run):
        Path("app.toml").write_text("app = 'main'")
        assert run("check", "app.toml") == (0, "app.toml: ok\n", "")

    def test_a_bad_file(self, run):
        Path("app.toml").write_text("app = 'main'\nport = -1")
        assert run("check", "app.toml") == (
            78,
            "",
            "app.toml:2: port: -1 is not an integer from 0 to 65535\n",
        )

    def test_a_missing_file(self, run):
        assert run("check", "app.toml") == (
            78,
            "",
            "app.toml: cannot be read: No such file or directory\n",
        )

    def test_a_file_that_looks_like_an_option(self, run):
        Path("-c").write_text("app = 'main'")
        assert run("check", "--", "-c") == (0, "-c: ok\n", "")

    def test_options_that_contradict_each_other(self, run):
        Path("app.toml").write_text("app = 'main'\nblocking_threads = 2")
        status, _, err = run("check", "app.toml")
        assert (status, err) == (
            78,
            "app.toml:2: blocking_threads: 2 threads are of use to wsgi only; rsgi runs in one\n",
        )

    def test_the_environment_of_the_shell_does_not_count(self, run, monkeypatch):
        monkeypatch.setenv("GRANIAN_PORT", "many")
        Path("app.toml").write_text("app = 'main'")
        assert run("check", "app.toml")[0] == 0

    def test_what_only_the_daemon_has_is_not_missed(self, run):
        Path("app.toml").write_text(
            "app = 'main'\nlisten = ['systemd:http']\nuser = 'credential:user'"
        )
        assert run("check", "app.toml") == (
            0,
            "app.toml: ok\n",
            "user: credential:user is not known here, not examined\n",
        )


class TestCheckApplication:
    @pytest.fixture(autouse=True)
    def _settings(self):
        Path("app.toml").write_text("app = 'shop:app'")

    def test_a_good_one(self):
        Path("shop.py").write_text("def app(): pass")
        assert check_app("app.toml") == (0, "app.toml: ok\n", "")

    def test_its_output_is_kept_apart(self):
        Path("shop.py").write_text("print('hello')\ndef app(): pass")
        assert check_app("app.toml") == (0, "hello\napp.toml: ok\n", "")

    def test_one_that_raises(self):
        Path("shop.py").write_text(
            "def app(): pass\ndef f():\n    raise RuntimeError('sold out')\nf()\n"
        )
        status, out, err = check_app("app.toml")
        assert (status, out) == (65, "")
        first, *frames = err.splitlines()
        assert first.startswith("app.toml: ")
        assert "sold out" in first
        assert [line.strip() for line in frames if line.startswith("  File")] == [
            f'File "{Path.cwd()}/shop.py", line 4, in <module>',
            f'File "{Path.cwd()}/shop.py", line 3, in f',
        ]

    def test_one_that_is_not_there(self):
        status, out, err = check_app("app.toml")
        assert (status, out) == (65, "")
        assert "shop" in err

    @pytest.mark.parametrize(
        ("line", "end"), [("os._exit(3)", "status 3"), ("os.kill(os.getpid(), 9)", "signal 9")]
    )
    def test_one_that_ends_the_process(self, line, end):
        Path("shop.py").write_text(f"import os\n{line}")
        line = f"app.toml: importing the application ended the process ({end})\n"
        assert check_app("app.toml") == (65, "", line)

    def test_one_that_leaves_a_thread_and_a_child(self):
        """Neither keeps the check from ending, although the child holds on to the pipe."""
        Path("shop.py").write_text(
            "import os, threading, time, sys\n"
            "threading.Thread(target=threading.Event().wait).start()\n"
            "if os.fork() == 0:\n"
            "    os.close(1); os.close(2)\n"
            "    while os.getppid() != 1 and os.path.exists('shop.py'): time.sleep(0.05)\n"
            "    os._exit(0)\n"
            "def app(): pass\n"
        )
        status, out, _ = check_app("app.toml")
        Path("shop.py").unlink()  # the child ends
        assert (status, out) == (0, "app.toml: ok\n")

    def test_relative_to_its_working_directory(self):
        Path("code").mkdir()
        Path("code/shop.py").write_text("def app(): pass")
        Path("app.toml").write_text("app = 'shop.py:app'\nworking_dir = 'code'")
        assert check_app("app.toml") == (0, "app.toml: ok\n", "")

    def test_bad_settings_come_first(self):
        Path("app.toml").write_text("port = -1")
        assert check_app("app.toml")[0] == 78


class TestConfig:
    def test_values_with_origins(self, run, monkeypatch):
        monkeypatch.setenv("GRANIAN_WORKERS", "2")
        Path("app.toml").write_text("app = 'main'\n")
        status, out, err = run("config", "-c", "app.toml", "--port", "80")
        assert (status, err) == (0, "")
        rows = {line.split()[0]: line.split("# ")[-1] for line in out.splitlines()}
        assert (rows["app"], rows["port"], rows["workers"]) == (
            "app.toml:1",
            "--port",
            "GRANIAN_WORKERS",
        )

    def test_wrong_values(self, run):
        assert run("config", "main", "--port", "x") == (
            78,
            "",
            '--port: "x" is not an integer from 0 to 65535\n',
        )

    def test_help(self, run):
        with pytest.raises(SystemExit) as caught:
            run("config", "--help")
        assert caught.value.code == 0


def test_the_sample(run):
    assert run("sample") == (0, sample(), "")


def test_the_reference(run):
    assert run("reference") == (0, reference(), "")


def test_no_command(run):
    with pytest.raises(SystemExit) as caught:
        run()
    assert caught.value.code == 2
