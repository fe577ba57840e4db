"""Each keyword of Granian's API is taken, and reaches the plan."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import get_args

import pytest

from granian_d import constants
from granian_d.errors import ConfigurationError
from granian_d.http import HTTP1Settings, HTTP2Settings
from granian_d.log import LogLevels
from granian_d.plan import model as plans
from granian_d.server.request import Request
from granian_d.settings import load_keywords, remarks, resolve
from granian_d.settings.keywords import KEYWORDS, RENAMED
from granian_d.settings.options import OPTIONS
from tests.certificates import Authority


class Here(str):
    """A path in the directory of the test."""

    __slots__ = ()


# keyword: (value, further arguments that it takes, where in the plan, what is there)
REACHES = {
    "target": ("pack.mod:make", {}, "worker.target", "pack.mod:make"),
    "address": ("::1", {}, "listeners.0.host", "::1"),
    "port": (8123, {}, "listeners.0.port", 8123),
    "uds": (Path("a.sock"), {}, "listeners.0.path", Here("a.sock")),
    "uds_permissions": (0o640, {"uds": "a.sock"}, "listeners.0.mode", 0o640),
    "interface": (constants.Interfaces.ASGINL, {}, "worker.interface", "asginl"),
    "workers": (3, {}, "pool.workers", 3),
    "blocking_threads": (5, {"interface": "wsgi"}, "worker.blocking_threads", 5),
    "blocking_threads_idle_timeout": (7, {}, "worker.blocking_threads_idle_timeout_s", 7.0),
    "loop": (constants.Loops.asyncio, {}, "worker.loop", "asyncio"),
    "http": (constants.HTTPModes.http2, {}, "worker.http", "2"),
    "websockets": (False, {}, "worker.limits.websocket", None),
    "backlog": (512, {}, "listeners.0.backlog", 512),
    "backpressure": (9, {}, "worker.backpressure", 9),
    "http1_settings": (
        HTTP1Settings(keep_alive=False, max_buffer_size=10_000), {},
        "worker.limits.head_bytes", 10_000,
    ),
    "http2_settings": (
        HTTP2Settings(max_concurrent_streams=50), {}, "worker.limits.http2.streams", 50
    ),
    "log_enabled": (False, {}, "log.enabled", False),
    "log_level": (LogLevels.warn, {}, "log.level", "warning"),
    "log_dictconfig": ({"version": 1}, {}, "log.config", '{"version":1}'),
    "log_access": (True, {}, "access_log.enabled", True),
    "log_access_format": ("%(path)s", {}, "access_log.fmt", "%(path)s"),
    "url_path_prefix": ("/in", {}, "worker.url_path_prefix", "/in"),
    "respawn_failed_workers": (False, {}, "pool.respawn", False),
    "respawn_interval": (2.5, {}, "pool.respawn_interval_s", 2.5),
    "rss_sample_interval": (5, {}, "pool.recycling.sample_interval_s", 5.0),
    "rss_samples": (4, {}, "pool.recycling.samples", 4),
    "workers_lifetime": (600, {}, "pool.recycling.lifetime_s", 600.0),
    "workers_max_rss": (64, {}, "pool.recycling.rss_bytes", 64 << 20),
    "workers_kill_timeout": (11, {}, "pool.drain_timeout_s", 11.0),
    "factory": (True, {}, "worker.factory", True),
    "working_dir": (Path("here"), {}, "worker.working_dir", Here("here")),
    "static_path_route": (["/s"], {"static_path_mount": ["here"]}, "worker.static.mounts.0.route", "/s"),
    "static_path_mount": (
        [Path("here")], {}, "worker.static.mounts.0.directory", Here("here")
    ),
    "static_path_dir_to_file": ("i.html", {"static_path_mount": ["here"]}, "worker.static.index", "i.html"),
    "static_path_expires": (0, {"static_path_mount": ["here"]}, "worker.static.expires_s", 0.0),
    "metrics_enabled": (True, {}, "metrics.port", 9090),
    "metrics_scrape_interval": (5, {"metrics_enabled": True}, "metrics.interval_s", 5.0),
    "metrics_address": ("::1", {"metrics_enabled": True}, "metrics.address", "::1"),
    "metrics_port": (9191, {"metrics_enabled": True}, "metrics.port", 9191),
    "reload": (True, {}, "worker.debug", True),
    "reload_paths": ([Path("here")], {"reload": True}, "watch.paths", (Here("here"),)),
    "reload_ignore_dirs": (["x"], {"reload": True}, "watch.ignore_dirs", ("x",)),
    "reload_ignore_patterns": (["x$"], {"reload": True}, "watch.ignore_patterns", ("x$",)),
    "reload_ignore_paths": (
        [Path("here")], {"reload": True}, "watch.ignore_paths", (Here("here"),)
    ),
    "reload_tick": (100, {"reload": True}, "watch.tick_s", 0.1),
    "reload_ignore_worker_failure": (
        True, {"reload": True}, "watch.ignore_worker_failure", True
    ),
    "process_name": ("named", {}, "master.process_name", "named"),
    "pid_file": (Path("a.pid"), {}, "master.pid_file", Here("a.pid")),
}  # fmt: skip
OF_TLS = {
    "ssl_cert": "tls.certificates.0.certificate",
    "ssl_key": "tls.certificates.0.keyfile",
    "ssl_key_password": "tls.certificates.0.password",
    "ssl_protocol_min": "tls.protocol_min",
    "ssl_ca": "tls.ca",
    "ssl_crl": "tls.crls",
    "ssl_client_verify": "tls.client_certificate",
}
INERT = {
    "runtime_threads": 2,
    "runtime_blocking_threads": 4,
    "runtime_mode": constants.RuntimeModes.st,
    "task_impl": constants.TaskImpl.rust,
}


@pytest.fixture(autouse=True)
def _directory(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)


def loaded(**arguments):
    """As the planner of a program loads them."""
    request = Request({"target": "main:app"} | arguments)
    with os.fdopen(os.dup(request.fileno())) as file:
        asked = json.load(file)
    return load_keywords(asked["keywords"], {}, directory=asked["directory"])


def plan(**arguments):
    return resolve(loaded(**arguments))


def at(found, path):
    for name in path.split("."):
        found = found[int(name)] if name.isdigit() else getattr(found, name)
    return found


def expected_at(value):
    if isinstance(value, tuple):
        return tuple(map(expected_at, value))
    return os.path.abspath(value) if isinstance(value, Here) else value


@pytest.mark.parametrize("keyword", REACHES)
def test_it_reaches_the_plan(keyword):
    value, others, path, expected = REACHES[keyword]
    assert at(plan(**{keyword: value}, **others), path) == expected_at(expected)


def test_tls(tmp_path):
    authority = Authority()
    certificate, key = authority.issue("localhost").write(tmp_path, "host", "word")
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    (tmp_path / "ca.crl").write_bytes(authority.revoke())
    given = {
        "ssl_cert": Path(certificate),
        "ssl_key": Path(key),
        "ssl_key_password": "word",
        "ssl_protocol_min": constants.SSLProtocols.tls12,
        "ssl_ca": Path("ca.crt"),
        "ssl_crl": [Path("ca.crl")],
        "ssl_client_verify": True,
    }
    made = plan(**given)
    assert {name: at(made, path) for name, path in OF_TLS.items()} == {
        "ssl_cert": certificate,
        "ssl_key": key,
        "ssl_key_password": "word",
        "ssl_protocol_min": "tls1.2",
        "ssl_ca": str(tmp_path / "ca.crt"),
        "ssl_crl": (str(tmp_path / "ca.crl"),),
        "ssl_client_verify": "required",
    }


@pytest.mark.parametrize("keyword", INERT)
def test_what_has_no_effect_is_said(keyword):
    assert [line for line in remarks(loaded(**{keyword: INERT[keyword]})) if keyword in line]


def test_env_files(tmp_path):
    (tmp_path / "a.env").write_text("WORD=said\n")
    assert loaded(env_files=[Path("a.env")]).settings.env_files == (str(tmp_path / "a.env"),)


def test_every_option_has_a_keyword():
    assert {option.key for option in KEYWORDS.values()} == set(OPTIONS)
    assert len(KEYWORDS) == len(OPTIONS) + len(RENAMED), "two options have one name"


@pytest.mark.parametrize("name", ["workers", "backlog", "backpressure", "runtime_threads"])
def test_what_is_too_little_is_the_least(name):
    found = loaded(**{name: -5}).settings
    assert getattr(found, name) == OPTIONS[name].minimum


def test_none_is_not_given():
    assert plan(ssl_cert=None, backpressure=None, uds=None, static_path_mount=None) == plan()
    assert plan(backpressure=0) == plan()


def test_one_value_stands_for_a_list_of_one():
    assert plan(static_path_mount="here") == plan(static_path_mount=["here"])


def test_a_record_gives_way_to_a_keyword():
    assert (
        plan(http1_settings=HTTP1Settings(), http1_keep_alive=False).worker.limits.keep_alive
        is False
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"prot": 80}, "prot: unknown argument; did you mean port?"),
        ({"port": "80"}, 'port: the string "80" is not an integer from 0 to 65535'),
        ({"interface": "cgi"}, 'interface: "cgi" is not one of asgi, asginl, wsgi, rsgi'),
        ({"loop": "winloop"}, "loop: winloop is for Windows; uvloop is its counterpart here"),
        (
            {"log_dictconfig": 1},
            "log_dictconfig: is not a dictionary for logging.config.dictConfig",
        ),
        (
            {"target": print},
            "target: builtins.builtin_function_or_method is no value",
        ),
    ],
)
def test_what_cannot_be_used(arguments, line):
    with pytest.raises(ConfigurationError) as refused:
        plan(**arguments)
    assert str(refused.value).startswith(line)


def test_a_file_gives_what_no_keyword_does(tmp_path):
    file = tmp_path / "deep.toml"
    file.write_text("workers = 3\nbacklog = 256\n")
    made = plan(config=file, backlog=512)
    assert (made.pool.workers, made.listeners[0].backlog) == (3, 512)


@pytest.mark.parametrize(
    ("words", "literal"),
    [
        (constants.Interfaces, plans.InterfaceName),
        (constants.HTTPModes, plans.HttpMode),
        (constants.Loops, plans.LoopName),
        (constants.RuntimeModes, plans.RuntimeMode),
        (constants.TaskImpl, plans.TaskImplementation),
        (constants.SSLProtocols, plans.TlsVersion),
    ],
)
def test_enumerations_are_the_models_words(words, literal):
    assert set(map(str, words)) == set(get_args(literal))


def test_severities_are_the_models_words():
    assert set(map(str, LogLevels)) == set(OPTIONS["log.level"].kind.words)


@pytest.mark.parametrize(
    ("record", "prefix"), [(HTTP1Settings, "http1_"), (HTTP2Settings, "http2_")]
)
def test_defaults_of_records_are_the_models(record, prefix):
    for name, value in vars(record()).items():
        assert KEYWORDS[prefix + name].default == value, name
