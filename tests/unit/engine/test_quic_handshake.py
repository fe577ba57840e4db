"""Handshakes of QUIC: certificates by name, sessions taken up again, early data, their ends."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

pytest.importorskip("aioquic")

from aioquic import tls
from aioquic.quic.packet import QuicErrorCode
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from granian_d.engine.contract import Leave
from granian_d.engine.pure.quic.certificates import MOST_CHAIN_BYTES
from granian_d.engine.pure.quic.handshake import MOST_MESSAGE_BYTES
from granian_d.errors import ConfigError
from tests import certificates
from tests.unit.engine.quic_peer import Echo, Net, authority, credentials, pair
from tests.unit.plan.specimens import HTTP2, HTTP3, WEBSOCKET

HANDSHAKE_S = 5.0


def visit(net, server, data=b"hello", **terms):
    """A client that has said something and heard the answer."""
    client = net.client(server, **terms).connect()
    net.run(1.0)
    assert client.established
    stream = client.ask(data)
    net.run(1.0)
    assert client.heard(stream) == data
    assert client.ended(stream)
    return client


def test_a_connection_from_its_first_packet_to_its_last():
    net = Net()
    server = net.server()
    client = visit(net, server)
    (echo,), (guest,) = server.endpoints, server.open
    peer = guest.link.peer
    assert (peer.client, peer.scheme) == (("192.0.2.7", 4000), "https")
    assert (peer.tls.version, peer.tls.cipher) == (0x0304, 0x1302)
    assert peer.tls.cipher_name == "TLS_AES_256_GCM_SHA384"
    assert peer.tls.server_name == "example.org"
    assert peer.tls.server_certificate == pair("example.org")[0].decode()
    assert echo.fed[0] == ("established",)
    client.quic.close(0x100)
    client.transmit()
    net.run(1.0)
    assert not server.open
    assert server.gone == [guest]
    assert echo.fed[-1] == ("lost",)
    assert [one for one in echo.fed if one == ("lost",)] == [("lost",)]
    assert not server.failures


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("example.org", 0),
        ("Two.Example", 1),
        ("a.wild.example", 2),
        ("a.b.wild.example", 0),
        ("nobody.example", 0),
        (None, 0),
    ],
)
def test_the_certificate_goes_by_the_name(asked, shown):
    pairs = [pair("example.org"), pair("two.example", kind="rsa"), pair("*.wild.example")]
    net = Net()
    server = net.server(certs=credentials(*pairs))
    client = visit(net, server, name=asked)
    assert server.open[0].link.peer.tls.server_certificate == pairs[shown][0].decode()
    seen = client.quic.tls._peer_certificate.public_bytes(certificates.PEM)
    assert seen == pairs[shown][0]


def test_certificates_can_be_renewed():
    net = Net()
    server = net.server()
    fresh = authority().issue("example.org")
    visit(net, server)
    server.hall.renew(credentials((fresh.pem, certificates.key_pem(fresh.key, "geheim"), "geheim")))
    client = visit(net, server)
    assert client.quic.tls._peer_certificate == fresh.certificate


def test_keys_that_cannot_be_used():
    issued = authority().issue("example.org")
    other = certificates.key_pem(ec.generate_private_key(ec.SECP521R1()))
    with pytest.raises(ConfigError, match="P-256"):
        Net().server(certs=credentials((issued.pem, other, "")))
    with pytest.raises(ConfigError, match="cannot be read"):
        Net().server(certs=credentials((b"", issued.key_pem, "")))
    with pytest.raises(ConfigError, match="with its chain"):
        Net().server(certs=credentials((issued.pem * 40, issued.key_pem, "")))
    Net().server(certs=credentials((issued.pem, issued.key_pem, "for nothing")))


def test_the_longest_chain_still_fits():
    issued = authority().issue("example.org")
    size = len(issued.certificate.public_bytes(serialization.Encoding.DER))
    net = Net()
    server = net.server(
        certs=credentials((issued.pem * (MOST_CHAIN_BYTES // size), issued.key_pem, ""))
    )
    client = visit(net, server)
    assert len(client.quic.tls._peer_certificate_chain) == MOST_CHAIN_BYTES // size - 1


def test_another_protocol_is_refused():
    net = Net()
    server = net.server()
    client = net.client(server, alpn_protocols=["hq-interop"]).connect()
    net.run(1.0)
    assert client.end.error_code == QuicErrorCode.CRYPTO_ERROR + 120  # no_application_protocol
    assert server.failures == ["No common ALPN protocols"]
    assert not server.open
    assert len(server.gone) == 1


def test_what_the_peer_says_at_the_end_is_told_by_its_number():
    net = Net()
    server = net.server()
    client = net.client(server, verify_mode=None).connect()  # it does not know the authority
    net.run(1.0)
    assert client.end.error_code == QuicErrorCode.CRYPTO_ERROR + 42  # bad_certificate
    assert server.failures == ["the peer closed the connection with code 0x12a"]


def test_a_handshake_has_its_time():
    net = Net()
    server = net.server(handshake_timeout_s=HANDSHAKE_S)
    net.judge = lambda datagram, up: 0.01 if up else None
    client = net.client(server).connect()
    net.run(HANDSHAKE_S - 0.1)
    assert not server.failures
    net.run(0.2)
    assert server.failures == ["it took longer than 5 s"]
    assert not client.established


def test_a_hello_without_end_is_not_waited_for():
    net = Net()
    server = net.server()
    client = net.client(server)
    client.quic.connect(("server", 443), now=net.now)
    stream = client.quic._crypto_streams[tls.Epoch.INITIAL].sender
    stream._buffer[1] = 0xF0  # of a length of 24 bits
    stream.write(bytes(2 * MOST_MESSAGE_BYTES))
    client.transmit()
    net.run(3.0)
    assert server.failures == ["a handshake message is too long"]


# --- sessions --------------------------------------------------------------------------------------


def test_a_session_is_taken_up_at_another_worker():
    net = Net()
    certs = credentials()
    first, second = (net.server(seat=seat, certs=certs) for seat in (1, 2))
    (ticket,) = visit(net, first).tickets
    assert ticket.max_early_data_size is None
    client = visit(net, second, session_ticket=ticket)
    assert client.handshake.session_resumed
    assert second.open[0].link.peer.tls.server_name == "example.org"
    assert client.tickets  # for the next time


def test_a_session_is_of_its_name_and_its_key():
    net = Net()
    pairs = pair("example.org", "other.example")
    server = net.server(certs=credentials(pairs))
    (ticket,) = visit(net, server).tickets
    ticket.server_name = "other.example"
    client = visit(net, server, name="other.example", session_ticket=ticket)
    assert not client.handshake.session_resumed
    (ticket,) = client.tickets
    server.hall.renew(credentials(pairs, keys=bytes(reversed(range(80)))))
    assert not visit(
        net, server, name="other.example", session_ticket=ticket
    ).handshake.session_resumed


def test_a_session_ends_with_its_lifetime():
    net = Net()
    server = net.server(certs=credentials(lifetime_s=60.0))
    client = visit(net, server)
    (ticket,) = client.tickets
    assert ticket.not_valid_after - ticket.not_valid_before == dt.timedelta(seconds=60)
    tickets = server.open[0].quic.tls._tickets
    for age_s, is_good in ((50, True), (70, False)):
        old = tls.utcnow() - dt.timedelta(seconds=age_s)
        ticket.not_valid_before, ticket.ticket = old, b""
        ticket.ticket = tickets.seal(ticket, "h3")
        ticket.not_valid_after = tls.utcnow() + dt.timedelta(days=1)
        client = visit(net, server, session_ticket=ticket)
        assert client.handshake.session_resumed is is_good


def test_without_keys_there_are_no_tickets():
    net = Net()
    assert not visit(net, net.server(certs=credentials(keys=b""))).tickets
    assert not visit(net, net.server(certs=credentials(lifetime_s=0.0))).tickets


# --- early data ------------------------------------------------------------------------------------


def early_visit(net, server, ticket):
    """A client that speaks in its first flight."""
    client = net.client(server, session_ticket=ticket)
    client.quic.connect(("server", 443), now=net.now)
    stream = client.quic.get_next_available_stream_id()
    client.quic.send_stream_data(stream, b"early", end_stream=True)
    client.transmit()
    net.run(1.0)
    assert client.heard(stream) == b"early"
    return client


def test_early_data_is_heard_before_the_handshake_is_complete():
    net = Net()
    server = net.server(early_data=True)
    (ticket,) = visit(net, server).tickets
    assert ticket.max_early_data_size == 0xFFFFFFFF
    client = early_visit(net, server, ticket)
    assert client.handshake.early_data_accepted
    fed = server.endpoints[-1].fed
    assert fed[:2] == [("stream", 0, b"early", True, True), ("established",)]
    late = client.ask(b"late")
    net.run(1.0)
    assert ("stream", late, b"late", True, False) in fed


def test_early_data_that_was_promised_less_is_taken():
    net = Net()
    server = net.server(early_data=True)
    (ticket,) = visit(net, server).tickets
    larger = net.server(
        early_data=True,
        http3=HTTP3.__class__(
            streams=200,
            connection_window_bytes=1 << 21,
            stream_window_bytes=1 << 20,
            send_buffer_bytes=1,
        ),
    )
    assert early_visit(net, larger, ticket).handshake.early_data_accepted


@pytest.mark.parametrize(
    "changed",
    [
        {"early_data": False},
        {"more": {"http2": replace(HTTP2, fields_bytes=1000)}},
        {"more": {"websocket": None}},
        {
            "http3": HTTP3.__class__(
                streams=99,
                connection_window_bytes=1 << 20,
                stream_window_bytes=1 << 18,
                send_buffer_bytes=1,
            )
        },
    ],
)
def test_early_data_is_refused_where_it_does_not_fit(changed):
    net = Net()
    plain = {"early_data": True, "more": {"websocket": WEBSOCKET}}
    (ticket,) = visit(net, net.server(**plain)).tickets
    server = net.server(**plain | changed)
    client = early_visit(net, server, ticket)
    assert not client.handshake.early_data_accepted
    assert server.endpoints[-1].fed[:2] == [("established",), ("stream", 0, b"early", True, False)]


def test_early_data_that_was_recorded_is_refused():
    """A ticket whose age is not what its client says: somebody repeats what was sent before."""
    net = Net()
    server = net.server(early_data=True)
    (ticket,) = visit(net, server).tickets
    ticket.age_add = (ticket.age_add + 11_000) % (1 << 32)
    assert not early_visit(net, server, ticket).handshake.early_data_accepted


def test_a_connection_that_begins_during_a_drain_is_drained():
    net = Net()
    server = net.server()
    leave = Leave(idle_s=1.0, restarting=True)
    early = visit(net, server)
    server.hall.drain(leave)
    visit(net, server)
    assert [endpoint.left for endpoint in server.endpoints] == [leave, leave]
    assert early.end is None


def test_a_service_that_ends_begins_no_connection():
    """Its client asks again, and finds whoever reads the socket by then."""
    net = Net()
    server = net.server()
    server.hall.drain(Leave(idle_s=1.0))
    client = net.client(server).connect()
    net.run(1.0)
    assert not server.open
    assert not server.sent
    client.server = net.server()
    net.run(5.0)
    assert client.established


# --- Retry -----------------------------------------------------------------------------------------


def test_a_retry_and_what_follows():
    net = Net()
    first, second = net.server(retry_above=0), net.server(retry_above=0)
    client = net.client(first).connect()
    net.run(0.015)  # the Retry has been sent, and is on its way
    ((_, retry),) = first.sent
    assert len(retry) < 1200
    assert not first.open
    client.server = second  # a successor: nobody has to remember a token
    net.carry(retry, second.name, client.address)
    net.run(1.0)
    assert client.established
    assert client.quic._retry_count == 1
    assert len(second.open) == 1
    assert second.open[0].quic._network_paths[0].is_validated


def test_no_retry_while_there_are_few():
    net = Net()
    server = net.server(retry_above=1)
    net.judge = lambda datagram, up: 0.01 if up else None
    net.client(server).connect()
    net.run(0.02)
    assert server.endpoints == []
    server.sent.clear()
    net.client(server).connect()
    net.run(0.02)
    assert [datagram[0] & 0xF0 for _, datagram in server.sent if _.peer[1] == 4001] == [0xF0]


@pytest.mark.parametrize("spoilt", ["token", "address", "time", "id"])
def test_a_token_that_is_not_good(spoilt):
    net = Net()
    server = net.server(retry_above=0)
    held = []

    def hold(datagram, up):
        if up and held is not None and client.quic._retry_count:
            held.append(datagram)
            return None
        return 0.01

    client = net.client(server)
    net.judge = hold
    client.connect()
    net.run(0.05)
    datagram = bytearray(held[0])
    address = client.address
    if spoilt == "token":
        datagram[6 + datagram[5] + 1 + 8 + 2 + 20] ^= 1
    elif spoilt == "address":
        address = ("192.0.2.7", 1)
    elif spoilt == "time":
        net.now += 31.0
    else:
        datagram[6 + 11] ^= 1  # the last octet: it still leads here
    server.sent.clear()
    server.receive(bytes(datagram), address)
    ((_, answer),) = server.sent
    assert len(answer) < 100
    assert not server.open
    assert server.failures == ["invalid token"]
    if spoilt == "token":
        net.judge = lambda datagram, up: 0.01
        net.carry(answer, server.name, client.address)
        net.run(2.0)
        assert client.end.error_code == QuicErrorCode.INVALID_TOKEN


def test_a_token_of_somebody_else_is_no_reason_to_refuse():
    net = Net()
    server = net.server()
    client = net.client(server, token=b"of another server, for another day").connect()
    net.run(1.0)
    assert client.established


def test_the_second_version_is_spoken_too():
    net = Net()
    server = net.server(retry_above=0)
    client = visit(net, server, supported_versions=[0x6B3343CF])
    assert client.quic._version == 0x6B3343CF
    assert isinstance(server.endpoints[0], Echo)
