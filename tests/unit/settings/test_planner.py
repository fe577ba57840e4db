"""The planner as the master starts it: a process, one line of JSON, an exit status."""

import json
import os
import subprocess
import sys

import pytest

from granian_d import __version__
from granian_d.engine.choose import resolve
from granian_d.plan import decode


def run(*argv, inherited=(), environ=None, cwd=None, flags=()):
    """The answer, the exit status, stdout and stderr."""
    reading_fd, writing_fd = os.pipe()
    with os.fdopen(reading_fd, encoding="ascii") as answer:
        done = subprocess.run(
            [
                sys.executable,
                *flags,
                "-m",
                "granian_d.cli.planner",
                str(writing_fd),
                json.dumps(inherited),
                "--",
                *argv,
            ],
            pass_fds=[writing_fd],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env={
                name: value for name, value in os.environ.items() if not name.startswith("GRANIAN_")
            }
            | (environ or {}),
        )
        os.close(writing_fd)
        lines = answer.read().splitlines()
    assert len(lines) == 1
    return json.loads(lines[0]), done.returncode, done.stdout, done.stderr


def test_a_plan_with_its_warnings():
    answer, status, stdout, stderr = run(
        "main", "--workers", "2", environ={"GRANIAN_UNHEARD_OF": "1"}
    )
    assert (status, stdout, stderr) == (0, "", "")
    assert answer["warnings"] == ["GRANIAN_UNHEARD_OF: unknown variable, ignored"]
    assert decode(answer["plan"]).pool.workers == 2
    assert set(answer) == {"plan", "warnings"}


def test_inherited_sockets():
    answer, *_ = run("main", inherited=["http"])
    assert [listener.key for listener in decode(answer["plan"]).listeners] == ["systemd"]


def test_wrong_settings():
    assert run("main", "--workers", "many") == (
        {"error": '--workers: "many" is not an integer from 1 to 512', "exit_code": 78},
        78,
        "",
        "",
    )


def test_an_address_that_cannot_be_resolved():
    answer, status, *_ = run("main", "--host", "nowhere.invalid")
    assert (answer["exit_code"], status) == (71, 71)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(flag):
    answer, status, stdout, stderr = run(flag)
    assert (answer, status, stderr) == ({"done": 0}, 0, "")
    assert stdout.startswith("usage: granian-d ")


def test_version():
    assert run("--version") == (
        {"done": 0},
        0,
        f"granian-d {__version__} ({resolve('auto')} engine)\n",
        "",
    )


def test_a_fault_of_its_own_is_reported(tmp_path):
    """A broken installation, here a module that cannot be imported, still gives an answer."""
    (tmp_path / "pydantic_settings.py").write_text("raise RuntimeError('broken\\ninstallation')")
    answer, status, stdout, stderr = run("main", environ={"PYTHONPATH": str(tmp_path)})
    assert answer == {
        "error": "the planner failed: RuntimeError: broken installation",
        "exit_code": 70,
    }
    assert (status, stdout) == (70, "")
    assert "Traceback" in stderr


def test_modules_of_the_current_directory_do_not_stand_in(tmp_path):
    (tmp_path / "tomllib.py").write_text("raise RuntimeError")
    answer, *_ = run("main", cwd=tmp_path, flags=["-P"])
    assert "plan" in answer


def test_plugins_of_pydantic_are_left_alone(tmp_path):
    """They would be the application's."""
    (tmp_path / "guest-1.0.dist-info").mkdir()
    (tmp_path / "guest-1.0.dist-info/METADATA").write_text("Name: guest\nVersion: 1.0\n")
    (tmp_path / "guest-1.0.dist-info/entry_points.txt").write_text(
        "[pydantic]\nguest = guest:plugin\n"
    )
    (tmp_path / "guest.py").write_text(
        "import sys\nprint('guest', file=sys.stderr)\nplugin = None\n"
    )
    answer, _, _, stderr = run("main", environ={"PYTHONPATH": str(tmp_path)})
    assert "plan" in answer
    assert "guest" not in stderr
    # The guest is one that pydantic would have let in.
    *_, stderr = run(
        "main", environ={"PYTHONPATH": str(tmp_path), "PYDANTIC_DISABLE_PLUGINS": "false"}
    )
    assert "guest" in stderr
