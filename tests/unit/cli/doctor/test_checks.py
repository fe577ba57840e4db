"""Each check finds what it is for, in facts made up for it, and says nothing of healthy ones."""

from __future__ import annotations

import json
import stat
from dataclasses import replace

import pytest

from granian_d.cli.doctor.access import Access, Step, Who
from granian_d.cli.doctor.checks import CHECKS, examine
from granian_d.cli.doctor.command import lines
from granian_d.cli.doctor.facts import Facts, Manager, Output, Running, Secret, Shown
from granian_d.cli.doctor.finding import LEVELS
from tests.unit.cli.doctor.healthy import (
    INSTALLED,
    KERNEL,
    NOW,
    REPORT,
    healthy,
    socket_unit,
    unit,
    written,
)
from tests.unit.plan.specimens import QUIC

DAY = 86400
DYNAMIC = Who("granian-shop", None, frozenset())
OPEN, CLOSED = stat.S_IFDIR | 0o755, stat.S_IFDIR | 0o750


def report(**more) -> Running:
    return Running(report=REPORT | more, open_files=65536, loaded_at=NOW - 100)


def way(what: str, path: str, mode: int) -> Access:
    """To a path whose last component has this mode."""
    return Access(what, path, DYNAMIC, "rx", (Step("/", OPEN), Step(path, mode)))


def failed(result: str, status: str) -> dict:
    shown = {"ActiveState": "failed", "SubState": "failed", "Result": result}
    return {"unit": unit(**shown, ExecMainStatus=status), "running": None}


STOPPED = {"unit": unit(ActiveState="inactive"), "running": None}
WITHOUT_ENGINE = {"engine_wanted": "native", "installed": replace(INSTALLED, compiled=False)}
IN_TIME = {"change": 1, "at": NOW - 50, "took_s": 1.0, "exit_code": 0, "reason": ""}

# The check, the facts that differ from healthy ones, the level, and part of the line.
HTTP3 = {"http3_wanted": True}
HTTP3_OF_SYSTEMD = HTTP3 | {"settings": 'listen = ["systemd:http"]'}
STREAM = "/run/granian-shop.sock (Stream)"

BROKEN = [
    ("settings", {"error": "x.toml:3: workerz: there is no such option"}, "fault", "workerz"),
    ("settings", {"remarks": ("old: renamed",)}, "note", "renamed"),
    (
        "permissions",
        {"accesses": (way("working_dir", "/srv/shop", CLOSED),)},
        "fault",
        "granian-shop may not read and enter /srv/shop",
    ),
    (
        "permissions",
        {"accesses": (way("ssl.keyfile", "/k", stat.S_IFREG | 0o600),)},
        "fault",
        "LoadCredential=tls.key:/k",
    ),
    (
        "permissions",
        {"accesses": (Access("venv", "/v", DYNAMIC, "rx", (Step("/v", missing=True),)),)},
        "fault",
        "/v does not exist",
    ),
    ("hidden", {"accesses": (way("app", "/home/me/a", OPEN),)}, "fault", "ProtectHome=tmpfs"),
    (
        "hidden",
        {"accesses": (way("working_dir", "/home/me/a", OPEN)._replace(path="/srv/link"),)},
        "fault",
        "BindReadOnlyPaths=/home/me/a",
    ),
    ("hidden", {"accesses": (way("app", "/tmp/a", OPEN),)}, "fault", "PrivateTmp=yes"),
    (
        "outputs",
        {"outputs": (Output("log.file", "/srv/a.log", True),)},
        "fault",
        'log.file = "a.log"',
    ),
    (
        "outputs",
        {"outputs": (Output("log.file", "/var/log/granian/shop/x/a.log", False),)},
        "fault",
        "LogsDirectory=granian/shop/x",
    ),
    (
        "leftovers",
        {"unit": unit(DynamicUser="no"), "leftovers": ("/run/granian/shop",)},
        "fault",
        "rm /run/granian/shop",
    ),
    ("unix", {"outputs": (Output("listen", "/run/granian/shop/a", True),)}, "warning", "proxy"),
    (
        "secrets",
        {"secrets": (Secret(what="ssl.keyfile", path="/k", mode=0o644, required=False),)},
        "warning",
        "chmod o-r /k",
    ),
    (
        "secrets",
        {"secrets": (Secret(what="EnvironmentFile", path="/e", mode=0o644, required=False),)},
        "note",
        "everybody may read /e",
    ),
    (
        "secrets",
        {"secrets": (Secret(what="EnvironmentFile", path="/e", mode=None, required=True),)},
        "fault",
        "/e does not exist",
    ),
    (
        "certificates",
        {"certificates": (Shown(file="/c", not_after=NOW - 1, fault=""),)},
        "fault",
        "/c has expired",
    ),
    (
        "certificates",
        {"certificates": (Shown(file="/c", not_after=NOW + 13.5 * DAY, fault=""),)},
        "warning",
        "/c expires in 13 d",
    ),
    (
        "certificates",
        {"certificates": (Shown(file="/c", not_after=None, fault="/k is not its key"),)},
        "fault",
        "/k is not its key",
    ),
    ("state", {"unit": unit(LoadState="not-found"), "running": None}, "fault", "no granian@"),
    ("state", {"unit": unit(LoadState="masked")}, "fault", "systemctl unmask granian@shop"),
    ("state", {"unit": unit(LoadState="bad-setting")}, "fault", "systemd-analyze verify"),
    ("state", failed("exit-code", "78"), "fault", "granianctl check /etc/granian/shop.toml"),
    ("state", failed("start-limit-hit", "70"), "fault", "reset-failed granian@shop"),
    ("state", failed("core-dump", "11"), "fault", "Result=core-dump"),
    ("state", {"unit": unit(SubState="auto-restart", NRestarts="3")}, "fault", "so far 3 times"),
    ("state", {"unit": unit(UnitFileState="disabled")}, "note", "not enabled"),
    ("answers", {"running": None, "silent": "/x: no answer"}, "warning", "/x: no answer"),
    ("health", {"running": report(health="degraded")}, "fault", "degraded"),
    (
        "health",
        {"running": report(last_change=IN_TIME | {"exit_code": 70, "reason": "no module x"})},
        "fault",
        "no module x",
    ),
    ("edited", {"changed_at": NOW - 10}, "warning", "systemctl reload granian@shop"),
    ("version", {"running": report(version="0.9")}, "warning", "granian-d 0.9 runs, 1.0 is"),
    ("memory", {"unit": unit(MemoryMax=str(40 << 20))}, "warning", "MemoryMax=40 MiB"),
    (
        "taken",
        STOPPED | {"kernel": replace(KERNEL, listening=frozenset({("127.0.0.1", 8000)}))},
        "fault",
        "ss -ltnp 'sport = :8000'",
    ),
    ("unknown", {"unknown": ("/x may not be looked at",)}, "note", "/x"),
    ("lines", {"unit": unit(Type="simple")}, "fault", "Type=notify"),
    ("lines", {"unit": unit(NotifyAccess="none")}, "fault", "NotifyAccess=main"),
    ("lines", {"unit": unit(KillMode="control-group")}, "warning", "KillMode=mixed"),
    ("lines", {"unit": unit(OOMPolicy="stop")}, "warning", "OOMPolicy=continue"),
    ("lines", {"unit": unit(Restart="no")}, "warning", "Restart=on-failure"),
    ("lines", {"unit": unit(RuntimeDirectoryPreserve="no")}, "warning", "Preserve=restart"),
    ("reload", {"unit": unit(ExecReload="")}, "warning", "no ExecReload="),
    ("reload", {"unit": unit(ExecReload="{ path=kill ; }")}, "warning", "is not granianctl"),
    ("statuses", {"unit": unit(RestartPreventExitStatus="78")}, "warning", "not name 65"),
    ("stop", {"unit": unit(TimeoutStopUSec="30s")}, "warning", "a stop may take 30 s"),
    ("stop", {"unit": unit(Type="simple", TimeoutStopUSec="9s")}, "fault", "kills the workers"),
    ("stop", {"settings": "drain_delay = 60"}, "warning", "a stop may take 90 s"),
    ("watchdog", {"unit": unit(WatchdogUSec="29s")}, "warning", "it should be 30"),
    ("watchdog", {"settings": "workers_stall_timeout = 120"}, "warning", "it should be 75"),
    (
        "files",
        {"running": Running(report=REPORT, open_files=1024, loaded_at=None)},
        "fault",
        "1024",
    ),
    ("files", {"settings": "backpressure = 65500"}, "warning", "65500"),
    ("files", STOPPED | {"unit": unit(LimitNOFILESoft="512")}, "fault", "LimitNOFILE=65536"),
    ("store", {"unit": unit(FileDescriptorStoreMax="0")}, "warning", "StoreMax=64"),
    (
        "store",
        {
            "settings": 'listen = ["systemd:http"]',
            "sockets": (socket_unit(),),
            "unit": unit(FileDescriptorStoreMax="1"),
        },
        "note",
        "forgets what was counted",
    ),
    ("directories", {"unit": unit(RuntimeDirectory="shop")}, "warning", "granian/shop"),
    ("directories", {"unit": unit(StateDirectory="")}, "note", "no StateDirectory="),
    (
        "ports",
        STOPPED | {"settings": 'listen = ["127.0.0.1:443"]'},
        "fault",
        "granian-shop cannot bind it",
    ),
    ("daemon-reload", {"unit": unit(NeedDaemonReload="yes")}, "warning", "daemon-reload"),
    ("sockets", {"settings": 'listen = ["systemd:http"]'}, "fault", "enable --now"),
    (
        "sockets",
        {
            "settings": 'listen = ["systemd:http"]',
            "sockets": (socket_unit(UnitFileState="disabled"),),
        },
        "warning",
        "systemctl enable granian@shop.socket",
    ),
    (
        "sockets",
        {"sockets": (socket_unit(Listen="/run/granian/shop/http (Stream)"),)},
        "warning",
        "in the service's RuntimeDirectory=",
    ),
    (
        "twice",
        {"sockets": (socket_unit(Listen="127.0.0.1:8000 (Stream)"),)},
        "fault",
        "both listen at 127.0.0.1:8000",
    ),
    ("backlog", {"settings": "backlog = 8192"}, "warning", "net.core.somaxconn=8192"),
    ("kernel", {"kernel": replace(KERNEL, release=(5, 3))}, "warning", "5.3"),
    ("kernel", {"kernel": replace(KERNEL, release=(5, 10))}, "note", "5.10"),
    ("cgroup", {"kernel": replace(KERNEL, cgroup2=False)}, "warning", "version 1"),
    ("systemd", {"manager": Manager(version=249, keeps_journal=True)}, "note", "249"),
    ("systemd", {"unit": unit(RestartSteps="0")}, "note", "back-off.conf"),
    ("journal", {"manager": Manager(version=257, keeps_journal=False)}, "note", "journal"),
    ("programs", {"programs": {"granianctl": ""}}, "fault", "granianctl unit shop --install"),
    ("engine", {"installed": replace(INSTALLED, compiled=False)}, "note", "many times slower"),
    ("engine", WITHOUT_ENGINE, "fault", "nothing starts"),
    ("engine", {"settings": 'engine = "pure"'}, "note", "native one is installed"),
    ("loop", {"installed": replace(INSTALLED, uvloop=False)}, "note", "uvloop"),
    (
        "loop",
        {"settings": 'loop = "uvloop"', "installed": replace(INSTALLED, uvloop=False)},
        "fault",
        "no worker starts",
    ),
    ("http3", {**HTTP3, "installed": replace(INSTALLED, quic=False)}, "fault", "[http3]"),
    ("http3", {**HTTP3, "kernel": replace(KERNEL, rmem_max=212992)}, "note", "rmem_max"),
    (
        "taken",
        STOPPED
        | {
            **HTTP3,
            "kernel": replace(KERNEL, datagrams=frozenset({("127.0.0.1", 8000)})),
        },
        "fault",
        "ss -lunp 'sport = :8000'",
    ),
    (
        "datagrams",
        {"sockets": (socket_unit(Listen=f"{STREAM}\n[::]:443 (Datagram)"),)},
        "warning",
        'listen = ["systemd:http,http3=true"]',
    ),
    (
        "datagrams",
        {**HTTP3_OF_SYSTEMD, "sockets": (socket_unit(Listen="[::]:443 (Stream)"),)},
        "fault",
        "ListenDatagram=[::]:443",
    ),
    ("python", {"venv": "/srv/v", "venv_python": (3, 12)}, "fault", "/srv/v is for Python 3.12"),
]
OF_THE_FILE = {"plan", "error", "remarks", "changed_at", "venv", "venv_python"}


def broken(directory, changes: dict) -> Facts:
    """Healthy facts with changes; those of `Written` by their own names."""
    changes = dict(changes)
    facts = healthy(directory, changes.pop("settings", ""))
    if engine := changes.pop("engine_wanted", ""):  # which the settings want where it is not
        worker = replace(facts.written.plan.worker, engine=engine)
        changes["plan"] = replace(facts.written.plan, worker=worker)
    if changes.pop("http3_wanted", False):  # without a certificate's files
        plan = facts.written.plan
        listeners = tuple(replace(each, tls=True, http3=True) for each in plan.listeners)
        changes["plan"] = replace(plan, listeners=listeners, quic=QUIC)
    of_file = {name: changes.pop(name) for name in OF_THE_FILE & set(changes)}
    return replace(facts, written=replace(facts.written, **of_file), **changes)


@pytest.mark.parametrize(("check", "changes", "level", "part"), BROKEN)
def test_a_check_finds_what_it_is_for(tmp_path, check, changes, level, part):
    facts = broken(tmp_path, changes)
    found = [each.finding for each in examine(facts) if each.check == check]
    assert [each.level for each in found] == [level]
    assert part in " ".join(found[0])
    assert any(part in line for line in lines(facts, examine(facts)))


def test_every_check_is_shown_to_find_something_at_its_level():
    order = list(LEVELS)
    for check in CHECKS:
        levels = [level for name, _, level, _ in BROKEN if name == check.name]
        levels += ["warning"] if check.name == "neighbours" else []
        assert min(levels, key=order.index) == check.level, check.name
    assert len({check.name for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        STOPPED,
        {"manager": None, "unit": None, "running": None},
        {"installed": None},
        {"running": report(last_change=IN_TIME), "changed_at": NOW - 500},
        {"unit": unit(WatchdogUSec="infinity")},  # systemd shows it where nothing runs
        {"unit": unit(Type="notify-reload", ExecReload="")},
        {"settings": 'listen = ["systemd:http"]', "sockets": (socket_unit(),)},
        {
            "settings": 'listen = ["systemd"]',
            "sockets": (socket_unit(UnitFileState="disabled"),),
            "unit": unit(Requires="sysinit.target granian@shop.socket"),
        },
        {
            "settings": 'listen = ["systemd:http"]',
            "sockets": (socket_unit(ActiveState="inactive", UnitFileState="disabled"),),
            "unit": unit(Requires="sysinit.target granian@shop.socket", ActiveState="inactive"),
            "running": None,
        },
        {"outputs": (Output("log.file", "/var/log/granian/shop/a.log", True),)},
        {"accesses": (way("working_dir", "/srv/shop", OPEN),)},
        HTTP3,
        {**HTTP3_OF_SYSTEMD, "sockets": (socket_unit(Listen=STREAM),)},
        {
            **HTTP3_OF_SYSTEMD,
            "sockets": (socket_unit(Listen="[::]:443 (Stream)\n[::]:443 (Datagram)"),),
        },
        {
            "accesses": (way("working_dir", "/home/me/shop", OPEN),),
            "unit": unit(BindReadOnlyPaths="/home/me:/home/me:rbind"),
        },
        {"certificates": (Shown(file="/c", not_after=NOW + 30 * DAY, fault=""),)},
        {"secrets": (Secret(what="LoadCredential", path="/c.crt", mode=0, required=True),)},
        {
            "settings": 'listen = ["127.0.0.1:443"]',
            "unit": unit(AmbientCapabilities="cap_net_bind_service"),
            "running": None,
            "unknown": (),
        }
        | {"unit": unit(ActiveState="inactive", AmbientCapabilities="cap_net_bind_service")},
    ],
)
def test_nothing_is_said_of_what_is_well(tmp_path, changes):
    facts = broken(tmp_path, changes)
    assert examine(facts) == []
    *_, last = lines(facts, [])
    assert last.endswith(": nothing is wrong")


@pytest.mark.parametrize(
    ("other", "clash"),
    [
        ('["127.0.0.1:8000"]', True),
        ('["0.0.0.0:8000"]', True),
        ('["127.0.0.1:8001"]', False),
        ('["127.0.0.2:8000"]', False),
        ('["[::]:8000"]', False),
        ('["unix:/run/a.sock"]', False),
    ],
)
def test_an_address_of_two_instances(tmp_path, other, clash):
    (tmp_path / "other").mkdir()
    neighbour = written(f"listen = {other}", tmp_path / "other")
    facts = replace(healthy(tmp_path), neighbours={"other": neighbour})
    assert [each.check for each in examine(facts)] == ["neighbours"] * clash


def test_the_worst_comes_first_and_all_are_counted(tmp_path):
    changes = {"error": "bad\x1b[2J", "kernel": replace(KERNEL, cgroup2=False, release=(5, 10))}
    facts = broken(tmp_path, changes)
    told = list(lines(facts, examine(facts)))
    assert [line.split(": ")[1] for line in told[:-1]] == ["fault", "warning", "note"]
    assert told[-1] == "granian@shop: 1 fault, 1 warning, 1 note"
    assert json.dumps([each.finding for each in examine(facts)])
