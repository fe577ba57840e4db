"""The table `ssl`: what it comes to, what is refused, and what is never shown."""

from __future__ import annotations

import pytest

from granian_d.errors import ConfigError
from granian_d.settings import load, remarks, resolve
from granian_d.settings.render import effective
from tests.certificates import Authority

AUTHORITY = Authority()
ISSUED = AUTHORITY.issue("localhost")
PAIR = 'certificate = "host.crt"\nkeyfile = "host.key"\n'


@pytest.fixture
def write(tmp_path):
    """Write a TOML file beside a certificate; its path."""
    ISSUED.write(tmp_path, "host")
    (tmp_path / "ca.crt").write_bytes(AUTHORITY.pem)

    def put(table: str, top: str = "") -> str:
        file = tmp_path / "app.toml"
        file.write_text(f'app = "main"\n{top}\n[ssl]\n{table}')
        return str(file)

    return put


def plan_of(file, environ=None, **how):
    return resolve(load(["-c", file], environ or {}, **how))


def refused(file, environ=None, **how):
    with pytest.raises(ConfigError) as caught:
        plan_of(file, environ, **how)
    return str(caught.value)


def test_the_plan(write, tmp_path):
    plan = plan_of(write(PAIR + 'sni = ["host.crt,host.key"]\nca = "ca.crt"'))
    assert [pair.certificate for pair in plan.tls.certificates] == [f"{tmp_path}/host.crt"] * 2
    assert plan.tls.client_certificate == "optional"
    assert plan.tls.alpn == ("h2", "http/1.1")
    assert plan.tls.protocol_min == "tls1.3"
    assert [listener.tls for listener in plan.listeners] == [True]
    assert plan_of(write(PAIR + 'ca = "ca.crt"\nclient_verify = true')).tls.client_certificate == (
        "required"
    )


@pytest.mark.parametrize(("http", "alpn"), [("1", ("http/1.1",)), ("2", ("h2",))])
def test_alpn_follows_the_versions_of_http(write, http, alpn):
    assert plan_of(write(PAIR, f'http = "{http}"')).tls.alpn == alpn


def test_listeners_may_differ(write):
    listen = 'listen = ["127.0.0.1:1", "127.0.0.1:2,tls=false", "127.0.0.1:3,tls=true"]'
    plan = plan_of(write(PAIR, listen))
    assert [listener.tls for listener in plan.listeners] == [True, False, True]


def test_a_secured_listener_needs_a_certificate(write):
    file = write("", 'listen = ["127.0.0.1:1,tls=true"]')
    assert refused(file) == f"{file}:2: listen[0].tls: TLS needs ssl.certificate and ssl.keyfile"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('certificate = "host.crt"', "4: ssl.certificate: ssl.keyfile is missing: its key"),
        ('keyfile = "host.key"', "4: ssl.keyfile: is of use with ssl.certificate only"),
        ('ca = "ca.crt"', "4: ssl.ca: is of use with ssl.certificate only"),
        (PAIR + "client_verify = true", "6: ssl.client_verify: is of use with ssl.ca only"),
        (PAIR + 'crl = ["x"]', "6: ssl.crl: is of use with ssl.ca only"),
        (PAIR + 'crl = [""]', "6: ssl.crl: a list is not a list of paths"),
        (PAIR + 'sni = ["host.crt"]', '6: ssl.sni[0]: "host.crt" is not of the form CERT,KEY'),
        (PAIR + "sni = [3]", "6: ssl.sni[0]: 3 is not CERT,KEY, or a table of certificate, "),
        (PAIR + 'sni = [{certificate = "x"}]', "6: ssl.sni[0]: has no keyfile"),
        (PAIR + 'ciphers = "ODD"', '6: ssl.ciphers: OpenSSL knows no cipher of "ODD"'),
        (PAIR + 'protocol_min = "tls1.1"', '6: ssl.protocol_min: "tls1.1" is not one of'),
        (PAIR + 'sni = ["host.crt,none"]', "6: ssl.sni[0].keyfile: "),
    ],
)
def test_what_is_refused(write, table, reason):
    file = write(table)
    assert refused(file).startswith(f"{file}:{reason}")


class TestPasswords:
    SECRET = "hunter2"

    def test_never_shown(self, write, tmp_path):
        ISSUED.write(tmp_path, "sealed", password=self.SECRET)
        pair = 'certificate = "sealed.crt"\nkeyfile = "sealed.key"\n'
        file = write(f'{pair}keyfile_password = "{self.SECRET}"')
        loaded = load(["-c", file], {})
        assert self.SECRET not in effective(loaded)
        plan = resolve(loaded)
        assert plan.tls.certificates[0].password == self.SECRET
        assert self.SECRET not in repr(plan)

    @pytest.mark.parametrize(
        "table",
        [
            'keyfile_password = "hunter2"',
            "keyfile_password = 4807526976",
            'keyfile_password = ["hunter2"]',
            'sni = [{certificate = "c", keyfile = "k", keyfile_password = 4807526976}]',
        ],
    )
    def test_nor_in_an_error(self, write, tmp_path, table):
        ISSUED.write(tmp_path, "sealed", password="another")
        line = refused(write(f'certificate = "sealed.crt"\nkeyfile = "sealed.key"\n{table}'))
        assert "keyfile_password" in line
        assert "hunter2" not in line
        assert "4807526976" not in line

    def test_of_an_entry_it_may_be_a_credential(self, write, tmp_path):
        ISSUED.write(tmp_path, "sealed", password=self.SECRET)
        (tmp_path / "word").write_text(self.SECRET + "\n")
        entry = '{certificate = "sealed.crt", keyfile = "sealed.key", keyfile_password = "credential:word"}'
        file = write(f"{PAIR}sni = [{entry}]")
        plan = plan_of(file, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert plan.tls.certificates[1].password == self.SECRET


class TestCredentials:
    TABLE = 'certificate = "credential:host.crt"\nkeyfile = "credential:host.key"\n'

    def test_they_stand_for_files(self, write, tmp_path):
        plan = plan_of(write(self.TABLE), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert plan.tls.certificates[0].keyfile == f"{tmp_path}/host.key"

    def test_without_their_directory(self, write):
        file = write(self.TABLE)
        reason = '"credential:host.crt" cannot be read: CREDENTIALS_DIRECTORY is not set'
        assert refused(file) == f"{file}:4: ssl.certificate: {reason}"

    def test_a_rehearsal_goes_on(self, write):
        loaded = load(["-c", write(self.TABLE)], {}, inherited=None)
        assert resolve(loaded).tls is None
        (line,) = remarks(loaded)
        assert "credential:host.crt, credential:host.key not known here" in line


def test_an_expired_certificate_is_a_remark(write, tmp_path):
    AUTHORITY.issue("localhost", days=-1).write(tmp_path, "host")
    file = write(PAIR)
    AUTHORITY.issue("localhost", days=-1).write(tmp_path, "host")
    (line,) = remarks(load(["-c", file], {}))
    assert line.startswith(f"{file}:4: ssl.certificate: {tmp_path}/host.crt has expired (")
