"""Daemons that systemd-socket-activate starts: names, several sockets, the first connections."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.apps.frameworks import FRAMEWORKS
from tests.apps.running import activated_daemon, first_answer, need_activate
from tests.process.daemon import fetch


@pytest.fixture
def activated(tmp_path):
    """Start the tool with sockets of its own: activated(tool arguments, daemon arguments)."""
    need_activate()
    daemons = []

    def start(tool=(), arguments=(), framework="asgi"):
        daemon = activated_daemon(FRAMEWORKS[framework], tmp_path, *arguments, tool=tool)
        daemons.append(daemon)
        daemon.start().wait_for_log("Listening on ")
        return daemon

    yield start
    for daemon in daemons:
        daemon.close()


NAMES = {
    "named and asked for by name": (("--fdname=web",), ("--listen", "systemd:web")),
    "named, any is taken": (("--fdname=web",), ("--listen", "systemd")),
    "without a name, any is taken": ((), ("--listen", "systemd")),
    "without a name, nothing is said": ((), ()),
    "named, nothing is said": (("--fdname=web",), ()),
}


@pytest.mark.parametrize("case", NAMES)
def test_name(activated, tmp_path, case):
    tool, arguments = NAMES[case]
    path = str(tmp_path / "site.sock")
    daemon = activated((f"--listen={path}", *tool), arguments)
    assert first_answer(daemon, path, "/json").status == 200
    assert daemon.addresses == [f"unix:{path}"]


def test_first_connection_starts_it(activated, tmp_path):
    path = str(tmp_path / "site.sock")
    daemon = activated((f"--listen={path}",))
    program = Path(f"/proc/{daemon.pid}/cmdline")
    assert program.read_bytes().startswith(b"/usr/bin/systemd-socket-activate\0")
    answer = first_answer(daemon, path, "/json")
    assert answer.json["pid"] in daemon.workers()
    assert b"master" in program.read_bytes()


def test_two_sockets_with_names(activated, tmp_path):
    paths = [str(tmp_path / "one.sock"), str(tmp_path / "two.sock")]
    daemon = activated(
        ("--fdname=one:two", *(f"--listen={path}" for path in paths)),
        ("--listen", "systemd:one", "--listen", "systemd:two"),
    )
    first_answer(daemon, paths[1], "/json")
    for path in paths:
        assert fetch(path, "/json").status == 200


def test_all_first_connections_are_answered(activated, tmp_path):
    """Those that come while the application is being imported wait in the queue."""
    path = str(tmp_path / "site.sock")
    daemon = activated((f"--listen={path}",), ("--workers", "2"), framework="django-wsgi")
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(fetch(path, "/json").status))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 20
    assert daemon.stop() == 0


def test_name_that_was_not_passed(activated, tmp_path):
    path = str(tmp_path / "site.sock")
    daemon = activated((f"--listen={path}", "--fdname=web"), ("--listen", "systemd:other"))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        assert daemon.wait() == 78
    assert "other" in daemon.log
    assert "web" in daemon.log
    assert "Traceback" not in daemon.log


def test_sockets_outlive_reloads_and_stay_behind(activated, tmp_path):
    """The manager owns the socket: its inode is there when the daemon has stopped."""
    path = str(tmp_path / "site.sock")
    daemon = activated((f"--listen={path}",))
    first_answer(daemon, path, "/json")
    assert daemon.reload().startswith("gen 2, 1 workers")
    assert fetch(path, "/json").status == 200
    assert daemon.stop() == 0
    assert Path(path).is_socket()
