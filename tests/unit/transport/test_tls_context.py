"""Contexts: what is refused and in which words, which certificate is for whom, tickets, material."""

from __future__ import annotations

import os
import ssl
from dataclasses import replace

import pytest

from granian_d.plan import CertificatePlan, TlsPlan
from granian_d.transport.ticket_keys import KEY_BYTES, set_ticket_keys
from granian_d.transport.tls_context import Contexts, TlsFault, decode, encode, read_material
from tests.certificates import Authority, key_pem

AUTHORITY = Authority()
HOST = AUTHORITY.issue("localhost", "example.org")


@pytest.fixture
def plan(tmp_path):
    certificate, key = HOST.write(tmp_path, "host")
    return TlsPlan(
        certificates=(CertificatePlan(certificate=certificate, keyfile=key, password=""),),
        protocol_min="tls1.2",
        ciphers="ECDHE+AESGCM",
        ca="",
        crls=(),
        client_certificate="none",
        alpn=("http/1.1",),
        handshake_timeout_s=10.0,
        ticket_lifetime_s=3600.0,
    )


def make(plan, keys=b""):
    return Contexts(plan, read_material(plan)._replace(ticket_keys=keys))


def with_pair(plan, **changes):
    return replace(plan, certificates=(replace(plan.certificates[0], **changes),))


def shake(contexts, name="localhost", session=None, version=None, client=None):
    """A handshake in memory; the client's end, which has read what the server says after it."""
    context = client or ssl.create_default_context(cadata=AUTHORITY.pem.decode())
    if version is not None:
        context.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = contexts.wrap(to_server, to_client)
    end = context.wrap_bio(to_client, to_server, server_hostname=name, session=session)
    done = set()
    while len(done) < 2:
        for side in (end, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    server.write(b"hello")
    assert end.read(5) == b"hello"
    return end, server, context


class TestRefusals:
    def fault(self, plan):
        with pytest.raises(TlsFault) as caught:
            make(plan)
        return caught.value

    def test_a_file_that_is_not_there(self, plan, tmp_path):
        fault = self.fault(with_pair(plan, keyfile=str(tmp_path / "none")))
        assert fault.option == ("keyfile",)
        assert (
            str(fault) == f"ssl.keyfile: {tmp_path}/none cannot be read: No such file or directory"
        )

    def test_a_directory_and_a_pipe(self, plan, tmp_path):
        assert "Is a directory" in self.fault(with_pair(plan, certificate=str(tmp_path))).reason
        os.mkfifo(tmp_path / "pipe")
        fault = self.fault(with_pair(plan, certificate=str(tmp_path / "pipe")))
        assert "is not a regular file" in fault.reason

    def test_a_key_of_another_certificate(self, plan, tmp_path):
        _, other = AUTHORITY.issue("example.org").write(tmp_path, "other")
        fault = self.fault(with_pair(plan, keyfile=other))
        assert fault.option == ("keyfile",)
        assert fault.reason == f"{other} is not the key of {tmp_path}/host.crt"

    def test_a_key_of_another_kind(self, plan, tmp_path):
        _, other = AUTHORITY.issue("example.org", kind="rsa").write(tmp_path, "other")
        assert "is not the key of" in self.fault(with_pair(plan, keyfile=other)).reason

    def test_swapped_files(self, plan):
        pair = plan.certificates[0]
        fault = self.fault(with_pair(plan, certificate=pair.keyfile, keyfile=pair.certificate))
        assert "it holds no certificate" in fault.reason
        fault = self.fault(with_pair(plan, keyfile=pair.certificate))
        assert "holds no private key in PEM" in fault.reason

    @pytest.mark.parametrize("style", ["PKCS8", "TraditionalOpenSSL"])
    def test_passwords(self, plan, tmp_path, style):
        path = tmp_path / "sealed.key"
        path.write_bytes(key_pem(HOST.key, "open sesame", style))
        fault = self.fault(with_pair(plan, keyfile=str(path)))
        assert fault.option == ("keyfile_password",)
        assert fault.reason == f"{path} is encrypted and needs a password"
        fault = self.fault(with_pair(plan, keyfile=str(path), password="hush-hush"))
        assert fault.option == ("keyfile_password",)
        assert fault.reason == f"it does not open {path}"
        plan = with_pair(plan, keyfile=str(path), password="open sesame")
        assert make(plan).certificates[0].names == ("localhost", "example.org")
        assert "sesame" not in repr(plan)

    def test_authorities(self, plan, tmp_path):
        empty = tmp_path / "ca"
        empty.write_bytes(b"")
        fault = self.fault(replace(plan, ca=str(empty), client_certificate="required"))
        assert str(fault) == f"ssl.ca: {empty} holds no certificate in PEM"
        empty.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        fault = self.fault(replace(plan, ca=str(empty), client_certificate="required"))
        assert "is damaged" in fault.reason

    def test_lists_of_the_revoked(self, plan, tmp_path):
        ca, crl = tmp_path / "ca", tmp_path / "crl"
        ca.write_bytes(AUTHORITY.pem)
        crl.write_bytes(AUTHORITY.pem)
        plan = replace(plan, ca=str(ca), crls=(str(crl),), client_certificate="optional")
        fault = self.fault(plan)
        assert str(fault) == f"ssl.crl[0]: {crl} holds no revocation list in PEM"

    def test_ciphers(self, plan):
        fault = self.fault(replace(plan, ciphers="NONE-OF-THESE"))
        assert str(fault) == 'ssl.ciphers: OpenSSL knows no cipher of "NONE-OF-THESE"'

    def test_another_certificate(self, plan, tmp_path):
        pair = plan.certificates[0]
        plan = replace(plan, certificates=(pair, replace(pair, keyfile=str(tmp_path / "none"))))
        assert str(self.fault(plan)).startswith("ssl.sni[0].keyfile: ")


class TestNames:
    @pytest.fixture
    def contexts(self, plan, tmp_path):
        pairs = [plan.certificates[0]]
        for at, names in enumerate((["*.example.net", "api.example.com"], ["www.example.net"])):
            certificate, key = AUTHORITY.issue(*names).write(tmp_path, f"sni{at}")
            pairs.append(CertificatePlan(certificate=certificate, keyfile=key, password=""))
        return make(replace(plan, certificates=tuple(pairs)))

    @pytest.mark.parametrize(
        ("name", "at"),
        [
            ("example.org", 0),
            ("unknown.example", 0),
            ("", 0),
            ("api.example.com", 1),
            ("API.Example.COM", 1),
            ("api.example.com.", 1),
            ("a.example.net", 1),
            ("www.example.net", 2),  # the exact name before the wildcard
            ("example.net", 0),  # a wildcard stands for one label (RFC 9525 6.3)
            ("a.b.example.net", 0),
            ("x.api.example.com", 0),
        ],
    )
    def test_who_is_shown_what(self, contexts, name, at):
        wanted = contexts.certificates[at].pem
        assert contexts.pem(contexts.pick(name)) == wanted

    @pytest.mark.parametrize("name", ["example.org", "a.example.net", "api.example.com"])
    def test_the_client_sees_it(self, contexts, name):
        end, server, _ = shake(contexts, name)
        assert server.server_name == name
        shown = ssl.DER_cert_to_PEM_cert(end.getpeercert(binary_form=True))
        assert shown == contexts.pem(contexts.pick(name))


class TestTickets:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_the_same_key_opens_them_in_other_contexts(self, plan, version):
        keys = os.urandom(KEY_BYTES)
        one, other, stranger = make(plan, keys), make(plan, keys), make(plan, os.urandom(KEY_BYTES))
        assert one.shares_tickets
        end, _, client = shake(one, version=version)
        assert not end.session_reused
        again, _, _ = shake(other, session=end.session, client=client)
        assert again.session_reused
        again, _, _ = shake(stranger, session=end.session, client=client)
        assert not again.session_reused

    def test_they_are_not_given_out(self, plan):
        contexts = make(replace(plan, ticket_lifetime_s=0.0), os.urandom(KEY_BYTES))
        assert not contexts.shares_tickets
        end, _, client = shake(contexts, version=ssl.TLSVersion.TLSv1_3)
        assert end.session is None or not end.session.has_ticket
        assert not shake(contexts, client=client)[0].session_reused

    def test_the_oldest_version_stays_as_it_was(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        assert set_ticket_keys(context, os.urandom(KEY_BYTES))
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3

    def test_a_hidden_library_is_left_alone(self, monkeypatch):
        import _ssl

        monkeypatch.delattr(_ssl, "__file__")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert not set_ticket_keys(context, os.urandom(KEY_BYTES))


class TestVersions:
    def test_the_oldest_one(self, plan):
        contexts = make(replace(plan, protocol_min="tls1.3"))
        with pytest.raises(ssl.SSLError, match="unsupported protocol"):
            shake(contexts, version=ssl.TLSVersion.TLSv1_2)

    def test_ciphers_of_tls_1_2(self, plan):
        end, _, _ = shake(make(plan), version=ssl.TLSVersion.TLSv1_2)
        name, version, _ = end.cipher()
        assert (version, "GCM" in name) == ("TLSv1.2", True)


def test_the_material_travels(plan, tmp_path):
    ca = tmp_path / "ca"
    ca.write_bytes(b"# caf\xc3\xa9 \xff\n" + AUTHORITY.pem)
    crl = tmp_path / "crl"
    crl.write_bytes(AUTHORITY.revoke())
    plan = replace(plan, ca=str(ca), crls=(str(crl),), client_certificate="optional")
    material = read_material(plan)._replace(ticket_keys=os.urandom(KEY_BYTES))
    assert decode(encode(material)) == material
    for file in tmp_path.iterdir():
        file.unlink()
    assert Contexts(plan, decode(encode(material))).shares_tickets
