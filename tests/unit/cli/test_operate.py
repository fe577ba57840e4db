"""granianctl as an operator: whom it asks, what it says, its exit status."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import threading

import pytest

from granian_d.cli import granianctl, operate
from granian_d.control import wire
from granian_d.control.channel import sealed_memory
from granian_d.errors import DaemonUnreachable

PATIENCE_S = 20.0


@pytest.fixture
def place():
    directory = tempfile.mkdtemp(prefix="gd")
    yield directory
    shutil.rmtree(directory)


class TestFind:
    def find(self, socket=None, instance=None, **environ):
        return operate.find(socket, instance, environ)

    def test_what_is_given_comes_first(self):
        environ = {"GRANIAN_CONTROL_SOCKET": "/e", "RUNTIME_DIRECTORY": "/r"}
        assert self.find("/s", None, **environ) == "/s"
        assert self.find(None, "shop", **environ) == "/run/granian/shop/control.sock"

    def test_a_service_s_own_commands_need_no_option(self):
        assert self.find(RUNTIME_DIRECTORY="/run/a:/run/b") == "/run/a/control.sock"
        assert self.find(GRANIAN_CONTROL_SOCKET="/e") == "/e"
        both = {"GRANIAN_CONTROL_SOCKET": "my.sock", "RUNTIME_DIRECTORY": "/run/a"}
        assert self.find(**both) == "/run/a/my.sock"

    def test_the_only_instance_needs_no_name(self, place, monkeypatch):
        monkeypatch.setattr(operate, "INSTANCES", place)
        with pytest.raises(DaemonUnreachable, match=r"there is no .*control\.sock; name its"):
            self.find()
        for name in ("shop", "blog"):
            os.mkdir(f"{place}/{name}")
        open(f"{place}/shop/control.sock", "w").close()
        assert self.find() == f"{place}/shop/control.sock"
        open(f"{place}/blog/control.sock", "w").close()
        with pytest.raises(DaemonUnreachable, match="with --instance: blog, shop"):
            self.find()


@pytest.fixture
def daemon(place):
    """Say these answers to whoever asks; what he asked is kept."""
    threads = []

    def say(*answers):
        path = f"{place}/control.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        listener.settimeout(PATIENCE_S)
        asked = []

        def run():
            with listener, listener.accept()[0] as sock:
                sock.settimeout(PATIENCE_S)
                asked.append(wire.decode_request(sock.recv(65536)))
                for answer in answers:
                    if isinstance(answer, tuple) and isinstance(answer[0], wire.Document):
                        fd = sealed_memory(answer[1].encode())
                        socket.send_fds(sock, [wire.encode(answer[0])], [fd])
                        os.close(fd)
                    else:
                        sock.sendall(wire.encode(answer))

        thread = threading.Thread(target=run)
        threads.append(thread)
        thread.start()
        return path, asked

    yield say
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture
def run(daemon, capsys):
    def run(words, *answers):
        path, asked = daemon(*answers)
        code = granianctl.main([*words.split(), "--socket", path])
        out, err = capsys.readouterr()
        return code, out, err, asked[0]

    return run


OK = wire.Done(0, "")

REQUESTS = [
    ("reload", wire.Reload(wait=False)),
    ("reload --wait --timeout 5", wire.Reload(wait=True)),
    ("upgrade", wire.Upgrade(wait=False)),
    ("upgrade --wait", wire.Upgrade(wait=True)),
    ("scale 3", wire.Scale(3)),
    ("stop", wire.Stop()),
    ("quit", wire.Quit()),
    ("dump 2", wire.Stacks(2)),
    ("dump all", wire.Stacks(0)),
    ("status", wire.Status()),
    ("status --json", wire.Status()),
]


@pytest.mark.parametrize(("words", "request_"), REQUESTS, ids=[words for words, _ in REQUESTS])
def test_what_is_asked(run, words, request_):
    code, out, err, asked = run(words, OK)
    assert (code, out, err) == (0, "", "")
    assert (type(asked), asked) == (type(request_), request_)


@pytest.mark.parametrize(
    "words",
    [
        *("scale", "scale many", "dump", "dump 0", "dump -1", "dump each", "explode"),
        *("reload --timeout 0", "reload --timeout nan", "reload --timeout inf"),
        "status --socket a -i b",
    ],
)
def test_a_command_line_that_says_nothing(words, capsys):
    with pytest.raises(SystemExit) as end:
        granianctl.main(words.split())
    assert end.value.code == 2
    assert "usage: granianctl" in capsys.readouterr().err


def test_phases_are_shown_and_the_reason_is_on_standard_error(run):
    code, out, err, _ = run(
        "reload --wait",
        wire.Phase("reload_began", "info", "Reloading"),
        wire.Phase("worker_failed", "error", "Worker-1 could not start: no\nTraceback:\n  line"),
        wire.Done(70, "no database"),
    )
    assert code == 70
    assert out == "Reloading\n"
    assert err == ("Worker-1 could not start: no\nTraceback:\n  line\nreload failed: no database\n")


def test_what_a_terminal_would_obey_is_made_harmless(run):
    _, out, _, _ = run("reload --wait", wire.Phase("x", "info", "\x1b[2Jred\ttab\nnext \x9b"), OK)
    assert out == "\\x1b[2Jred\ttab\nnext \\x9b\n"


def test_who_waits_too_long_is_told_that_it_goes_on(place, capsys):
    path = f"{place}/control.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        code = granianctl.main(["reload", "--wait", "--timeout", "0.05", "--socket", path])
    assert code == 75
    assert capsys.readouterr().err == f"{path}: no answer within 0.05 s; the reload goes on\n"


def test_nobody_answers(place, capsys):
    assert granianctl.main(["stop", "--socket", f"{place}/none"]) == 69
    expected = f"{place}/none: no daemon answers: No such file or directory\n"
    assert capsys.readouterr().err == expected


WORKER = {
    "slot": 1,
    "number": 4,
    "generation": 2,
    "state": "ready",
    "reason": "",
    "pid": 101,
    "uptime_s": 7325.0,
    "rss_bytes": 20 << 20,
    "pss_bytes": 8 << 20,
    "requests": 52,
    "active": 1,
    "connections": 3,
    "crashed": 0,
    "busy_s": 732.5,
    "lag_s": 0.0,
    "beat_ago_s": 0.5,
    "oldest_request_s": None,
    "last_request": "GET /a\x1b[2J",
    "last_request_ago_s": 1.5,
}

REPORT = {
    "format": 1,
    "version": "1.2.3",
    "name": "shop",
    "engine": "native",
    "phase": "serving",
    "reloading": False,
    "health": "degraded",
    "master": {"pid": 100, "uptime_s": 90061.0, "rss_bytes": 4 << 20, "pss_bytes": 2 << 20},
    "listeners": ["http://127.0.0.1:8000"],
    "requests_per_s": 12.34,
    "totals": {"requests": 1000, "active": 1, "connections": 3, "crashed": 2},
    "generations": [{"number": 2, "state": "committed", "wanted": 2, "ready": 1, "alive": 1}],
    "workers": [WORKER, {**dict.fromkeys(WORKER), "slot": 2, "generation": 2, "state": "starting"}],
    "molds": [{"number": 3, "generation": 2, "state": "ready", "pid": None}],
    "deaths": [
        {"at": 0, "slot": 2, "generation": 1, "pid": 99, "how": "SIGKILL", "reason": "too\nlong"}
    ],
    "last_change": {"change": 3, "at": 0, "took_s": 2.5, "exit_code": 70, "reason": "no\ndb"},
}


def test_status_for_machines_is_what_came(run):
    text = json.dumps(REPORT)
    code, out, err, _ = run("status --json", (wire.Document("status"), text), OK)
    assert (code, out, err) == (0, text + "\n", "")


def test_status_for_people(run, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    code, out, _, _ = run("status", (wire.Document("status"), json.dumps(REPORT)), OK)
    assert code == 0
    assert out.splitlines() == [
        "shop: serving, health: degraded",
        "granian-d 1.2.3, native engine, PID 100, up 1 d 1 h",
        "listening at http://127.0.0.1:8000",
        "1000 requests, 12.3/s, 1 active, 3 connections, 2 crashed",
        "memory: 10.0 MiB (PSS), of it the master 2.0 MiB",
        "generation 2, committed: 1 ready of 2 wanted, 1 alive",
        "mold of generation 2: ready, PID -",
        "last change: 1970-01-01 00:00:00, took 2.5 s, failed (70): no ...",
        "",
        "worker  gen  pid  state     up         requests  active  conns  cpu   PSS      RSS       last request",
        "1       2    101  ready     2 h 2 min  52        1       3      10 %  8.0 MiB  20.0 MiB  GET /a\\x1b[2J, 1.5 s ago",
        "2       2    -    starting  -          -         -       -      -     -        -         -",
        "",
        "died                 worker  gen  pid  how      reason",
        "1970-01-01 00:00:00  2       1    99   SIGKILL  too",
    ]


def test_a_report_of_another_release(run):
    text = json.dumps({"format": 2})
    code, out, _, _ = run("status", (wire.Document("status"), text), OK)
    assert (code, out) == (0, "this granianctl does not know reports of format 2: use --json\n")


def test_stacks_are_shown_with_whose_they_are(run):
    _, out, _, _ = run("dump 1", (wire.Document("worker-1 (PID 5)"), "a task\n  \x1b line"), OK)
    assert out == "worker-1 (PID 5)\na task\n  \\x1b line\n\n"
