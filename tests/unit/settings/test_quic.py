"""HTTP/3: which listeners have it, what it comes to, and what is refused."""

from __future__ import annotations

import pytest

from granian_d.engine import choose
from granian_d.errors import ConfigError
from granian_d.plan import Http3Limits, QuicPlan
from granian_d.settings import load, resolve
from tests.certificates import Authority

AUTHORITY = Authority()
ISSUED = AUTHORITY.issue("localhost")
PAIR = '[ssl]\ncertificate = "host.crt"\nkeyfile = "host.key"\n'


@pytest.fixture
def write(tmp_path):
    """Write a TOML file beside a certificate; its path."""
    ISSUED.write(tmp_path, "host")
    (tmp_path / "ca.crt").write_bytes(AUTHORITY.pem)

    def put(text: str) -> str:
        file = tmp_path / "app.toml"
        file.write_text(f'app = "main"\n{text}')
        return str(file)

    return put


def plan_of(file):
    return resolve(load(["-c", file], {}))


def test_without_it_nothing_is_planned(write):
    plan = plan_of(write(PAIR))
    assert plan.quic is None
    assert plan.worker.limits.http3 is None
    assert [listener.http3 for listener in plan.listeners] == [False]


def test_the_plan(write):
    table = "[quic]\nretry_above = 0\nearly_data = true\nidle_timeout = 5\nalt_svc_port = 443\n"
    plan = plan_of(write("http3 = true\n" + PAIR + table))
    assert plan.quic == QuicPlan(
        idle_timeout_s=5.0,
        retry_above=0,
        early_data=True,
        alt_svc_port=443,
        alt_svc_max_age_s=86400.0,
    )
    assert plan.worker.limits.http3 == Http3Limits(
        streams=200,
        connection_window_bytes=2097152,
        stream_window_bytes=524288,
        send_buffer_bytes=409600,
    )


def test_the_option_for_all_is_for_those_that_can(write):
    entries = (
        '"127.0.0.1:1"',
        '"127.0.0.1:2,tls=false"',
        '"unix:/run/x.sock"',
        '"127.0.0.1:3,proxy_protocol=true"',
        '"127.0.0.1:4,http3=false"',
        '"systemd:https"',
    )
    file = write(f"http3 = true\nlisten = [{', '.join(entries)}]\n{PAIR}")
    plan = resolve(load(["-c", file], {}, inherited=("https",)))
    assert [listener.key for listener in plan.listeners if listener.http3] == [
        "tcp:127.0.0.1:1",
        "systemd:https",
    ]


def test_one_listener_may_have_it_alone(write):
    plan = plan_of(write('listen = ["127.0.0.1:1", "127.0.0.1:2,http3=true"]\n' + PAIR))
    assert [listener.http3 for listener in plan.listeners] == [False, True]
    assert plan.quic is not None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http3 = true\n", "2: http3: needs a TCP port with TLS: ssl.certificate and ssl.keyfile"),
        (
            'http3 = true\nuds = "x.sock"\n' + PAIR,
            "2: http3: needs a TCP port with TLS: ssl.certificate and ssl.keyfile",
        ),
        (
            'listen = ["127.0.0.1:1,http3=true"]\n',
            "2: listen[0].http3: needs TLS: ssl.certificate and ssl.keyfile",
        ),
        (
            'listen = ["unix:/run/x.sock,http3=true"]\n' + PAIR,
            "2: listen[0].http3: is of no use: a Unix socket has no UDP port",
        ),
        (
            'listen = ["127.0.0.1:1,http3=true,proxy_protocol=true"]\n' + PAIR,
            "2: listen[0].http3: is not possible with proxy_protocol: no datagram says whose it is",
        ),
        (
            "http3 = true\n" + PAIR + 'ca = "ca.crt"\n',
            "2: http3: is not possible with ssl.ca: certificates of clients are not asked for",
        ),
    ],
)
def test_what_is_refused(write, text, reason):
    file = write(text)
    with pytest.raises(ConfigError) as caught:
        plan_of(file)
    assert str(caught.value).startswith(f"{file}:{reason}")


def test_without_the_library_the_extra_is_named(write, monkeypatch):
    monkeypatch.setattr(choose, "_QUIC_LIBRARY", "no_such_library_as_this")
    file = write("http3 = true\n" + PAIR)
    with pytest.raises(ConfigError) as caught:
        plan_of(file)
    assert str(caught.value) == (
        f"{file}:2: http3: HTTP/3 needs the extra http3: pip install 'granian-d[http3]'"
    )


def test_a_key_that_quic_cannot_use(write, tmp_path):
    file = write("http3 = true\n" + PAIR)
    AUTHORITY.issue("localhost", kind="p521").write(tmp_path, "host")
    with pytest.raises(ConfigError, match=r"ssl: certificate 1 cannot be used for HTTP/3: its key"):
        plan_of(file)
