"""Certificates as the master holds them: what a look finds, and what it leaves alone."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from granian_d.plan import CertificatePlan, TlsPlan
from granian_d.supervisor.certificates import Certificates, decode_tickets, encode_tickets
from granian_d.transport.tls_context import TlsFault, decode
from tests.certificates import Authority

AUTHORITY = Authority()
ISSUED = [AUTHORITY.issue("one.example"), AUTHORITY.issue("two.example")]


@pytest.fixture
def plan(tmp_path):
    certificate, key = ISSUED[0].write(tmp_path, "host")
    (tmp_path / "ca").write_bytes(AUTHORITY.pem)
    return TlsPlan(
        certificates=(CertificatePlan(certificate=certificate, keyfile=key, password=""),),
        protocol_min="tls1.3",
        ciphers="ECDHE+AESGCM",
        ca=str(tmp_path / "ca"),
        crls=(),
        client_certificate="optional",
        alpn=("http/1.1",),
        handshake_timeout_s=10.0,
        ticket_lifetime_s=100.0,
    )


@pytest.fixture
def held(plan):
    made = Certificates()
    assert made.adopt(plan) is None
    assert made.look(0.0) == []
    return made


def names(held, plan):
    return held.contexts(plan).certificates[0].names


class TestLooks:
    def test_nothing_new(self, held, plan):
        before = held.contexts(plan)
        assert [held.look(now) for now in (1.0, 2.0, 99.0)] == [[], [], []]
        assert held.contexts(plan) is before

    def test_a_renewal_is_taken_when_it_stands_still(self, held, plan, tmp_path):
        before = held.contexts(plan)
        ISSUED[1].write(tmp_path, "host")
        assert held.look(1.0) == []
        (renewal,) = held.look(2.0)
        assert (renewal.plan, renewal.names, renewal.fault) == (plan, "two.example", "")
        assert decode(renewal.material).pairs[0][0] == ISSUED[1].pem
        assert held.contexts(plan) is not before
        assert names(held, plan) == ("two.example",)
        assert held.look(3.0) == []

    def test_half_of_a_renewal_is_waited_for(self, held, plan, tmp_path):
        (tmp_path / "host.crt").write_bytes(ISSUED[1].pem)
        assert held.look(1.0) == []
        (tmp_path / "host.key").write_bytes(ISSUED[1].key_pem)
        assert held.look(2.0) == []
        (renewal,) = held.look(3.0)
        assert renewal.names == "two.example"

    def test_a_touch_is_no_renewal(self, held, plan, tmp_path):
        before = held.contexts(plan)
        os.utime(tmp_path / "host.crt", (1, 1))
        assert [held.look(now) for now in (1.0, 2.0, 3.0)] == [[], [], []]
        assert held.contexts(plan) is before

    @pytest.mark.parametrize("what", ["misfit", "gone"])
    def test_what_cannot_be_used_is_told_once(self, held, plan, tmp_path, what):
        if what == "misfit":
            (tmp_path / "host.crt").write_bytes(ISSUED[1].pem)
        else:
            (tmp_path / "host.crt").unlink()
        assert held.look(1.0) == []
        (renewal,) = held.look(2.0)
        assert renewal.fault.startswith("ssl.keyfile: " if what == "misfit" else "ssl.certificate")
        assert renewal.material == b""
        assert [held.look(now) for now in (3.0, 4.0)] == [[], []]
        assert names(held, plan) == ("one.example",)


class TestTickets:
    def keys(self, renewal):
        return decode(renewal.material).ticket_keys

    def test_their_key_is_replaced_in_time(self, held):
        assert held.look(99.0) == []
        (first,) = held.look(100.0)
        assert (first.names, len(self.keys(first))) == ("", 80)
        assert held.look(199.0) == []
        (second,) = held.look(200.0)
        assert self.keys(second) != self.keys(first)

    def test_it_outlives_a_certificate_but_not_a_change_of_trust(self, held, tmp_path):
        (first,) = held.look(100.0)
        ISSUED[1].write(tmp_path, "host")
        held.look(101.0)
        (second,) = held.look(102.0)
        assert self.keys(second) == self.keys(first)
        (tmp_path / "ca").write_bytes(Authority("Another").pem)
        held.look(103.0)
        (third,) = held.look(104.0)
        assert self.keys(third) != self.keys(second)

    def test_there_are_none(self, plan):
        plan = replace(plan, ticket_lifetime_s=0.0)
        held = Certificates()
        assert held.adopt(plan) is None
        assert [held.look(now) for now in (0.0, 1e6)] == [[], []]

    def test_a_hidden_library_is_told_of(self, plan, monkeypatch):
        import _ssl

        monkeypatch.delattr(_ssl, "__file__")
        held = Certificates()
        renewal = held.adopt(plan)
        assert (renewal.unshared, renewal.material) == (True, b"")
        assert [held.look(now) for now in (0.0, 1e6)] == [[], []]


class TestAdoption:
    def test_the_same_plan_keeps_its_contexts(self, held, plan):
        before = held.contexts(plan)
        assert held.adopt(plan) is None
        assert held.contexts(plan) is before

    def test_the_same_plan_with_new_files_tells_the_workers(self, held, plan, tmp_path):
        ISSUED[1].write(tmp_path, "host")
        assert held.adopt(plan).names == "two.example"
        assert [held.look(now) for now in (1.0, 2.0)] == [[], []], "it has been read"

    def test_another_plan_stands_beside_until_it_is_decided(self, held, plan):
        other = replace(plan, client_certificate="required")
        held.adopt(other)
        assert held.contexts(other) is not held.contexts(plan)
        held.retain(plan)
        assert held.contexts(plan)
        with pytest.raises(KeyError):
            held.contexts(other)
        held.retain(None)
        assert held.contexts(None) is None

    def test_a_fault_changes_nothing(self, held, plan, tmp_path):
        before = held.contexts(plan)
        (tmp_path / "host.crt").write_text("gone")
        with pytest.raises(TlsFault, match="holds no certificate"):
            held.adopt(plan)
        assert held.contexts(plan) is before


class TestTicketsOfTheProgramBefore:
    """The key of session tickets, from one program of the master to the next."""

    def test_they_are_used_on_and_replaced_when_they_were_to_be(self, held, plan):
        tickets = held.tickets(plan)
        assert decode_tickets(encode_tickets(tickets)) == tickets
        after = Certificates()
        after.adopt(plan, tickets)
        assert after.look(50.0) == []
        assert after.tickets(plan) == tickets
        (renewal,) = after.look(100.0)
        assert decode(renewal.material).ticket_keys != tickets.keys

    def test_not_by_a_plan_or_authorities_that_let_in_others(self, held, plan, tmp_path):
        tickets = held.tickets(plan)
        for other in (replace(plan, client_certificate="required"), plan):
            (tmp_path / "ca").write_bytes(AUTHORITY.pem if other != plan else Authority().pem)
            after = Certificates()
            after.adopt(other, tickets)
            after.look(0.0)
            assert after.tickets(other).keys != tickets.keys

    def test_there_are_none_where_none_are_given_out(self, plan):
        plan = replace(plan, ticket_lifetime_s=0.0)
        made = Certificates()
        made.adopt(plan)
        made.look(0.0)
        assert made.tickets(plan) is None
        assert made.tickets(None) is None

    @pytest.mark.parametrize("octets", [b"", b"1", b"[]", b'["zz", "", 1]', b'["00", "", 1]'])
    def test_what_is_no_key_is_none(self, octets):
        assert decode_tickets(octets) is None
