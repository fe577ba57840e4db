"""`venv`: an application in an environment of its own, whatever granian-d is installed in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from granian_d.plan import site_packages

SHOWS = """
import json, os, subprocess, sys
import annotated_types, brought, linked, wsproto

SEEN = {"brought": brought.__file__, "linked": linked.__file__, "both": annotated_types.__file__,
        "ours": wsproto.__file__, "prefix": sys.prefix, "venv": os.environ["VIRTUAL_ENV"],
        "child": subprocess.check_output(["python", "-c", "import sys; print(sys.prefix)"],
                                         text=True).strip(),
        "executable": sys.executable}
inner = app


async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/seen":
        return await answer(send, json.dumps(SEEN))
    await inner(scope, receive, send)
"""


@pytest.fixture
def venv(tmp_path):
    """With packages: one of its own, an editable one, one that granian-d has too, one it serves with."""
    path = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    packages = Path(site_packages(str(path)))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for module in (
        packages / "brought.py",
        packages / "annotated_types.py",
        elsewhere / "linked.py",
    ):
        module.touch()
    (packages / "wsproto.py").write_text("raise AssertionError('that of the application')")
    (packages / "editable.pth").write_text(f"{elsewhere}\n")
    return path


@pytest.mark.parametrize("more", ["", "preload = true\n"], ids=["forked", "preloaded"])
def test_the_application_finds_what_its_environment_has(serve, deploy, venv, more):
    deploy("one", SHOWS)
    daemon = serve(1, f'venv = "{venv.name}"\n{more}')  # relative to the file
    seen = json.loads(daemon.get("/seen").text)
    packages = site_packages(str(venv))
    assert seen["brought"] == f"{packages}/brought.py"
    assert seen["linked"] == f"{venv.parent}/elsewhere/linked.py"
    assert seen["both"] == f"{packages}/annotated_types.py"
    assert not seen["ours"].startswith(packages)
    assert seen["prefix"] == seen["venv"] == seen["child"] == str(venv)
    assert seen["executable"] == f"{venv}/bin/python"


def test_an_upgrade_and_a_reload_go_on_in_it(serve, deploy, venv):
    deploy("one", SHOWS)
    daemon = serve(1, f'venv = "{venv}"')
    deploy("two", SHOWS)
    assert "gen 2" in daemon.reload()
    assert daemon.get("/").text.startswith("two ")
    daemon.signal("USR2")
    daemon.wait_for_log("Reloaded: generation 3")
    assert json.loads(daemon.get("/seen").text)["prefix"] == str(venv)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda venv: (venv / "pyvenv.cfg").unlink(), "is not a virtual environment"),
        (
            lambda venv: (venv / "lib").rename(venv / "other"),
            "is of another Python than granian-d: there is no ",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(make_daemon, venv, spoil, why):
    spoil(venv)
    daemon = make_daemon(1, 'venv = "env"')
    daemon.start()
    assert daemon.wait() == 78
    assert f": venv: {venv} {why}" in daemon.log
