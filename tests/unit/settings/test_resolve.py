"""Every option changes the plan, in the part that its reload class says, and paths are completed."""

import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from granian_d import __version__
from granian_d.errors import ConfigError
from granian_d.plan import decode, encode, site_packages
from granian_d.settings import load, remarks, resolve
from granian_d.settings.options import OPTIONS
from tests.certificates import Authority
from tests.unit.settings.written import Sources, values

# What must be set for an option to have a meaning, and what makes computed defaults stand still.
CONTEXT = {
    "app": ["--process-name", "app"],
    "uds_permissions": ["--uds", "/run/app.sock"],
    "forwarded_fields": ["--forwarded-allow-ips", "127.0.0.1"],
    "blocking_threads": ["--interface", "wsgi"],
    "workers": ["--surge=1", "--backpressure=1", "--workers-min=1", "--workers-max=512"],
    "workers_min": ["--workers=512", "--surge=1", "--backpressure=1", "--workers-max=512"],
    "refork_after": ["--preload"],
    "workers_kill_timeout": ["--workers-stream-timeout=1"],
    "workers_max_requests": ["--workers-max-requests-jitter=0"],
    "workers_lifetime": ["--workers-lifetime-jitter=0"],
    **{key: ["--static-path-mount", "/usr"] for key in OPTIONS if key.startswith("static_path.")},
    "static_path.mount": [],
    **{key: ["--metrics"] for key in OPTIONS if key.startswith("metrics.")},
    **{key: ["--reload"] for key in OPTIONS if key.startswith("reload.")},
    "metrics.enabled": [],
    "reload.enabled": [],
}
# The sockets that the service manager must have passed for it.
INHERITED = {"idle_exit": ("http",)}
# Values that this machine must know, or that must not look up a name.
ON_THIS_MACHINE = {
    "host": st.sampled_from(["127.0.0.1", "::1", "127.0.0.2"]),
    "listen": st.sampled_from(["127.0.0.1:80", "[::1]:8000", "unix:/run/a.sock,mode=0600", "fd:7"]),
    "user": st.just(str(os.geteuid())),
    "group": st.just(str(os.getegid())),
    "working_dir": st.sampled_from(["/", "/usr"]),
    "static_path.route": st.sampled_from(["/", "/files"]),
    "static_path.mount": st.sampled_from(["/", "/usr"]),
    "reload.paths": st.sampled_from(["/usr", "/etc"]),
}
PART_OF_CLASS = {"restart": {"master"}, "live": {"pool", "metrics", "watch"}}
PARTS_OF_WORKERS = {"pool", "worker", "listeners", "log", "access_log", "tls", "quic", "watch"}
WITH_EFFECT = [option for option in OPTIONS.values() if not option.inert]


@pytest.fixture(scope="module", autouse=True)
def environments(tmp_path_factory):
    """Directories that could be virtual environments."""
    made = tmp_path_factory.mktemp("venvs")
    for name in ("one", "two"):
        Path(site_packages(str(made / name))).mkdir(parents=True)
        (made / name / "pyvenv.cfg").touch()
    ON_THIS_MACHINE["venv"] = st.sampled_from([str(made / "one"), str(made / "two")])


@pytest.fixture(scope="module", autouse=True)
def certificates(tmp_path_factory):
    """Files for the options of `ssl`, two of each that can stand for one another."""
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority()
    issued = authority.issue("localhost")
    for name in ("one", "two"):
        issued.write(directory, name)
        (directory / f"{name}.ca").write_bytes(authority.pem)
        (directory / f"{name}.crl").write_bytes(authority.revoke())
    for name in ("certificate", "keyfile", "ca", "crl"):
        suffix = {"certificate": "crt", "keyfile": "key"}.get(name, name)
        ON_THIS_MACHINE[f"ssl.{name}"] = st.just(str(directory / f"two.{suffix}"))
    pair = ["--ssl-certificate", f"{directory}/one.crt", "--ssl-keyfile", f"{directory}/one.key"]
    for option in OPTIONS.values():
        if option.path[0] == "ssl" or option.key == "http3":
            CONTEXT[option.key] = pair
        if option.path[0] == "quic":
            CONTEXT[option.key] = [*pair, "--http3"]
    for name in ("crl", "client_verify"):
        CONTEXT[f"ssl.{name}"] = [*pair, "--ssl-ca", f"{directory}/one.ca"]
    ON_THIS_MACHINE["ssl.sni"] = st.just(f"{directory}/two.crt,{directory}/two.key")
    ON_THIS_MACHINE["ssl.ciphers"] = st.just("ECDHE+AESGCM")


def plan_of(argv, environ=None, **facts):
    return resolve(load(argv, environ or {}, **facts))


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory):
    """Files that an option may name."""
    made = tmp_path_factory.mktemp("files")
    (made / "logging.json").write_text('{"version": 1}')
    (made / "app.env").write_text("GREETING=hello")
    ON_THIS_MACHINE["log.config"] = st.just(str(made / "logging.json"))
    ON_THIS_MACHINE["env_files"] = st.just(str(made / "app.env"))


@pytest.mark.parametrize("option", WITH_EFFECT, ids=lambda option: option.key)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_the_option_changes_the_plan(option, data, tmp_path):
    """An option without effect must not exist; and its effect is where its reload class says."""
    context = CONTEXT.get(option.key, [])
    app = [] if option.key == "app" else ["main:app"]
    inherited = INHERITED.get(option.key, ())
    before = plan_of([*context, "main:app"], inherited=inherited)
    if option.key == "config":
        path = tmp_path / "other.toml"
        path.write_text("")
        value = str(path)
    else:
        value = data.draw(ON_THIS_MACHINE.get(option.key, values(option)))
        assume(value != option.default)
    sources = Sources(tmp_path, named=False)
    if option.key in ON_THIS_MACHINE:
        sources.argv = [option.flag, value]
    else:
        sources.write("argument", option, value)
    after = plan_of([*context, *sources.arguments(), *app], inherited=inherited)
    changed = {
        field.name
        for field in dataclasses.fields(after)
        if getattr(before, field.name) != getattr(after, field.name)
    }
    assume(not (option.computed and not changed))  # the value that was computed anyway
    assert changed
    assert changed <= PART_OF_CLASS.get(option.reload, PARTS_OF_WORKERS)


@pytest.mark.parametrize("key", [key for key, option in OPTIONS.items() if option.inert])
def test_an_option_without_effect_says_so_when_it_is_set(key, tmp_path):
    option = OPTIONS[key]
    assert option.help.startswith("No effect: ")
    sources = Sources(tmp_path, named=False)
    sources.write("argument", option, option.default)
    loaded = load([*sources.arguments(), "main:app"], {})
    name = option.negative_flag if option.switch else option.flag
    reason = option.help.removeprefix("No effect: ").rstrip(".")
    assert list(remarks(loaded)) == [f"{name}: no effect: {reason}"]
    assert resolve(loaded) == plan_of(["main:app"])


def test_the_plan_of_the_defaults():
    plan = plan_of(["main"])
    assert plan.version == __version__
    assert plan.worker.target == "main:app"
    assert plan.worker.limits.head_timeout_s == 30
    assert plan.worker.identity.uid is None
    assert [listener.key for listener in plan.listeners] == ["tcp:127.0.0.1:8000"]
    assert plan.pool.surge == plan.pool.workers == 1
    assert (
        plan.master.pid_file
        == plan.log.file
        == plan.access_log.file
        == plan.worker.working_dir
        == ""
    )


def test_the_plan_survives_the_pipe():
    plan = plan_of(["main", "--listen", ":80", "--umask", "027", "--workers-kill-timeout", "1m30s"])
    assert decode(encode(plan)) == plan
    assert plan.pool.drain_timeout_s == 90


@pytest.mark.parametrize("interface", ["asgi", "asginl", "rsgi"])
def test_threads_are_for_wsgi(interface, tmp_path):
    file = tmp_path / "app.toml"
    file.write_text(f'interface = "{interface}"\nblocking_threads = 4\n')
    with pytest.raises(ConfigError) as caught:
        plan_of(["main", "-c", str(file)])
    assert str(caught.value) == (
        f"{file}:2: blocking_threads: 4 threads are of use to wsgi only; {interface} runs in one"
    )
    assert (
        plan_of(["main", "--interface", "wsgi", "--blocking-threads", "4"]).worker.blocking_threads
        == 4
    )
    assert (
        plan_of(
            ["main", "--interface", interface, "--blocking-threads", "1"]
        ).worker.blocking_threads
        == 1
    )


@pytest.mark.parametrize("wish", ["1", "0", "", "true"])
def test_a_manager_that_debugs_a_start_outranks_every_level_that_is_written(wish):
    environ = {"DEBUG_INVOCATION": wish, "GRANIAN_LOG_LEVEL": "warning"}
    argv = ["main", "--log-level", "error"]
    assert plan_of(argv, environ).log.level == ("debug" if wish == "1" else "error")


class TestPaths:
    def test_below_the_directories_of_systemd(self):
        argv = [
            "main",
            "--pid-file",
            "a.pid",
            "--uds",
            "a.sock",
            "--log-file",
            "l/e.log",
            "--access-log-file",
            "a.log",
        ]
        plan = plan_of(
            argv, {"RUNTIME_DIRECTORY": "/run/x:/run/y", "LOGS_DIRECTORY": "/var/log/x:/z"}
        )
        assert plan.master.pid_file == "/run/x/a.pid"
        assert plan.listeners[0].path == "/run/x/a.sock"
        assert plan.log.file == "/var/log/x/l/e.log"
        assert plan.access_log.file == "/var/log/x/a.log"

    def test_below_the_current_directory_without_them(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        plan = plan_of(["main", "--pid-file", "run/../a.pid", "--log-file", "e.log"])
        assert plan.master.pid_file == f"{tmp_path}/a.pid"
        assert plan.log.file == f"{tmp_path}/e.log"

    def test_absolute_ones_stay(self):
        plan = plan_of(["main", "--pid-file", "/p/a.pid"], {"RUNTIME_DIRECTORY": "/run/x"})
        assert plan.master.pid_file == "/p/a.pid"

    def test_the_working_directory_belongs_to_the_file_that_names_it(self, tmp_path, monkeypatch):
        (tmp_path / "site/code").mkdir(parents=True)
        (tmp_path / "code").mkdir()
        (tmp_path / "site/app.toml").write_text('working_dir = "code"')
        monkeypatch.chdir(tmp_path)
        assert (
            plan_of(["main", "-c", "site/app.toml"]).worker.working_dir == f"{tmp_path}/site/code"
        )
        assert plan_of(["main", "--working-dir", "code"]).worker.working_dir == f"{tmp_path}/code"

    def test_the_working_directory_must_exist(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError) as caught:
            plan_of(["main", "--working-dir", "nowhere"])
        assert str(caught.value) == f"--working-dir: {tmp_path}/nowhere is not a directory"
        assert plan_of(["main", "--working-dir", "nowhere"], inherited=None)
