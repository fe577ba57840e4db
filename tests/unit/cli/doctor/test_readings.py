"""What systemd, the kernel and files say, read."""

from __future__ import annotations

import math
import os
import sys

import pytest

from granian_d.cli.doctor import systemd_says, written
from granian_d.cli.doctor.access import Access, Who, obstacle, steps_to
from granian_d.cli.doctor.facts import Unit
from granian_d.cli.doctor.installation import interpreter, ours, probe, venv_python
from granian_d.cli.doctor.kernel_says import address
from granian_d.cli.doctor.spans import span_s
from granian_d.settings import load
from tests.certificates import Authority

# From systemd 252.
EXEC = (
    "{ path=/usr/bin/granian-d ; argv[]=/usr/bin/granian-d --config /etc/granian/a.toml ;"
    " ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
)
CAT = """# /etc/systemd/system/granian@.service
[Service]
WatchdogSec=30
LoadCredential=old:/nowhere
# /etc/systemd/system/granian@a.service.d/x.conf
[Service]
LoadCredential=
LoadCredential=tls.crt:/etc/ssl/%i.crt
LoadCredential=tls.key:/etc/ssl/%i.key
SupplementaryGroups=one \\
  two
LoadCredential=late:
;WatchdogSec=1
"""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("1min 5s", 65),
        ("30", 30),
        ("1h 500ms", 3600.5),
        ("infinity", math.inf),
        ("0", 0),
        ("", None),
        ("soon", None),
    ],
)
def test_spans_of_time(text, seconds):
    assert span_s(text) == seconds


def unit(text: str = "", **properties: str) -> Unit:
    name = "granian@a.service"
    return Unit(name=name, properties=properties, directives=systemd_says.directives(text, name))


def test_lines_of_a_unit_s_files():
    found = unit(CAT)
    assert found.directives["WatchdogSec"] == ("30",)
    assert found.directives["SupplementaryGroups"][0].split() == ["one", "two"]
    assert systemd_says.credentials(found) == {
        "tls.crt": "/etc/ssl/a.crt",
        "tls.key": "/etc/ssl/a.key",
    }


def test_the_command_of_a_unit():
    found = systemd_says.command(unit(ExecStart=EXEC), "ExecStart")
    assert found == ("/usr/bin/granian-d", ["--config", "/etc/granian/a.toml"])
    assert systemd_says.command(unit(), "ExecStart") == ("", [])


def test_variables_of_a_unit_count(tmp_path):
    (tmp_path / "a.toml").write_text('app = "m:a"\nworkers = 2\n')
    (tmp_path / "a.env").write_text("# secrets\nGRANIAN_BACKLOG='512'\nDATABASE_URL=x\n")
    found = unit(
        ExecStart=EXEC.replace("/etc/granian", str(tmp_path)),
        Environment='GRANIAN_WORKERS=3 "OTHER=a b"',
        EnvironmentFiles=f"{tmp_path}/a.env (ignore_errors=yes)\n/none (ignore_errors=no)",
        RuntimeDirectory="granian/a",
    )
    assert systemd_says.environment_files(found)[1] == ("/none", True)
    plan = written.read(f"{tmp_path}/a.toml", found).written.plan
    assert plan is not None
    assert (plan.pool.workers, plan.listeners[0].backlog) == (3, 512)
    assert plan.master.control_socket == "/run/granian/a/control.sock"


def test_sockets_that_listen():
    words = "0100007F" if sys.byteorder == "little" else "7F000001"
    line = f"   0: {words}:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1"
    assert address(line) == [("127.0.0.1", 8080)]
    assert address(line.replace(" 0A ", " 01 ")) == []
    assert address(line.replace(words, "0" * 32)) == [("::", 8080)]
    assert address(line.replace(" 0A ", " 07 "), "07") == [("127.0.0.1", 8080)]


# --- who may what --------------------------------------------------------------------------------

NOBODY = Who("nobody", 65534, frozenset({65534}))


@pytest.fixture
def denied(tmp_path):
    """Who lacks what of which component; what is above the test's own directory is let pass."""

    def denied(path, wants: str, who: Who = NOBODY):
        steps = [step for step in steps_to(str(path)) if step.path.startswith(f"{tmp_path}/")]
        found = obstacle(Access("x", str(path), who, wants, tuple(steps)))
        return found and (found.step.path, found.lacking)

    return denied


def test_the_component_that_is_in_the_way(denied, tmp_path):
    tree = tmp_path
    (tree / "a/b").mkdir(parents=True)
    file = tree / "a/b/c"
    file.write_text("")
    for path, mode in ((tree / "a", 0o755), (tree / "a/b", 0o755), (file, 0o644)):
        path.chmod(mode)
    assert denied(file, "r") is None
    file.chmod(0o640)
    assert denied(file, "r") == (str(file), "r")
    (tree / "a").chmod(0o710)
    assert denied(file, "r") == (f"{tree}/a", "x")
    owner = Who("owner", os.stat(file).st_uid or 1, frozenset({os.stat(file).st_gid}))
    assert denied(file, "r", owner) is None
    (tree / "link").symlink_to("a/../a/b")
    assert denied(tree / "link/c", "r") == (f"{tree}/a", "x")
    assert denied(tree / "none/c", "r") == (f"{tree}/none", "")
    (tree / "loop").symlink_to("loop")
    assert denied(tree / "loop", "r") == (f"{tree}/loop", "")


def test_the_owner_s_bits_are_the_owner_s_even_if_others_have_more(tmp_path):
    file = tmp_path / "odd"
    file.write_text("")
    file.chmod(0o044)
    mine = Who("me", os.stat(file).st_uid or 1, frozenset())
    step = steps_to(str(file))[-1]._replace(uid=mine.uid or 0)
    found = obstacle(Access("x", str(file), mine, "r", (step,)))
    assert found is not None
    assert found.lacking == "r"


# --- what is installed ---------------------------------------------------------------------------


def test_an_installation_is_asked_by_its_own_interpreter(tmp_path):
    program = tmp_path / "granian-d"
    program.write_text(f"#!{sys.executable}\n")
    assert interpreter(str(program)) == sys.executable
    found = probe(str(program), "root")
    assert found is not None
    assert (found.version, found.python) == (ours().version, sys.version_info[:2])
    program.write_text("#!/bin/sh\n")
    assert probe(str(program), "root") is None
    program.write_text("#!/nowhere/python3\n")
    assert probe(str(program), "root") is None


def test_the_python_of_a_virtual_environment(tmp_path):
    assert venv_python(str(tmp_path)) is None
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.4\n")
    assert venv_python(str(tmp_path)) == (3, 12)


# --- certificates --------------------------------------------------------------------------------


def test_a_certificate_and_its_key(tmp_path):
    authority = Authority()
    one, other = authority.issue("a.example", days=3), authority.issue("b.example")
    certificate, key = one.write(tmp_path, "a")
    _, wrong = other.write(tmp_path, "b")
    shown = written.show(written.Pair(certificate, key, ""))
    assert shown is not None
    assert (shown.fault, shown.not_after) == ("", one.certificate.not_valid_after_utc.timestamp())
    shown = written.show(written.Pair(certificate, wrong, ""))
    assert shown is not None
    assert shown.fault == f"{wrong} is not its key"
    assert written.show(written.Pair(f"{tmp_path}/none", key, "")) is None
    _, sealed = one.write(tmp_path, "c", "secret")
    assert written.show(written.Pair(certificate, sealed, "secret")).fault == ""
    assert written.show(written.Pair(certificate, sealed, "")).fault
    assert written.show(written.Pair(certificate, sealed, None)).fault == ""


def test_credentials_are_looked_for_where_the_unit_has_them_from(tmp_path):
    file = tmp_path / "a.toml"
    table = 'certificate = "credential:tls.crt"\nkeyfile = "tls.key"\n'
    file.write_text(f'app = "m:a"\n[ssl]\n{table}keyfile_password = "credential:word"\n')
    loaded = load([f"--config={file}"], {}, inherited=None)
    (pair,) = written.pairs(loaded, {"tls.crt": "/etc/ssl/a.crt"})
    assert pair == ("/etc/ssl/a.crt", f"{tmp_path}/tls.key", None)
    files = {"tls.crt": "/etc/ssl/a.crt", "word": "/etc/word"}
    assert written.public(loaded, files) == {"/etc/ssl/a.crt"}
