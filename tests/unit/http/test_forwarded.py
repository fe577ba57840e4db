"""For whom a request is made: who is believed, how a chain is walked, what is taken of it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.http.forwarded import LONGEST, MOST_HOPS, believes, peer_of
from granian_d.http.message import Peer, RequestHead, TlsFacts
from granian_d.plan import ForwardingPlan, Network

US = ("10.0.0.1", 8000)


def networks(*texts):
    parsed = [ipaddress.ip_network(text) for text in texts]
    return tuple(
        Network(bits=net.max_prefixlen, first=int(net[0]), last=int(net[-1])) for net in parsed
    )


def plan(*believed, fields="x-forwarded", everyone=False, unix=False):
    return ForwardingPlan(fields=fields, everyone=everyone, unix=unix, networks=networks(*believed))


INNER = plan("10.0.0.0/8", "::1", unix=True)
RFC = plan("10.0.0.0/8", "::1", unix=True, fields="forwarded")


def request(*fields):
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    return RequestHead("GET", b"/", b"", b"inner", "1.1", [*pairs, (b"accept", b"*/*")], 0, False)


def proxy(host="10.0.0.9", scheme="http", server=US):
    return Peer(None if host is None else (host, 4321), server, scheme)


def x(**lists):
    """Fields of the family X-Forwarded-*."""
    return [(f"x-forwarded-{name.rstrip('_')}", value) for name, value in lists.items()]


def seen(fields, peer=None, believed=INNER):
    found = peer_of(request(*fields), peer or proxy(), believed)
    return found.client, found.server, found.scheme


def client(value, believed=INNER):
    """Who it is by one X-Forwarded-For, or Forwarded."""
    name = "x-forwarded-for" if believed.fields == "x-forwarded" else "forwarded"
    return seen([(name, value)], believed=believed)[0]


# --- who is believed -----------------------------------------------------------------------------


def test_without_fields_the_connections_own_ends_count():
    peer = proxy()
    assert peer_of(request(), peer, INNER) is peer
    assert peer_of(request(("forwarded", "for=192.0.2.1")), peer, INNER) is peer
    assert peer_of(request(*x(for_="192.0.2.1")), peer, RFC) is peer


@pytest.mark.parametrize("host", ["192.0.2.66", "11.0.0.0", "9.255.255.255", "::2", "fe80::1%eth0"])
@pytest.mark.parametrize("believed", [INNER, RFC])
def test_who_is_not_listed_is_never_believed(host, believed):
    peer = proxy(host)
    fields = [*x(for_="192.0.2.1", proto="https", host="a", port="1"), ("forwarded", "for=1.2.3.4")]
    assert peer_of(request(*fields), peer, believed) is peer
    assert peer_of(request(*fields), peer, believed) is peer


@pytest.mark.parametrize(
    ("host", "believed"),
    [
        ("10.0.0.0", INNER),
        ("10.255.255.255", INNER),
        ("::ffff:10.0.0.1", INNER),
        ("::1", INNER),
        (None, INNER),
        ("fe80::1%eth0", plan("fe80::/10")),
        ("192.0.2.1", plan(everyone=True)),
        (None, plan(everyone=True)),
    ],
)
def test_who_is_listed_is_believed(host, believed):
    assert seen(x(for_="192.0.2.1"), proxy(host), believed)[0] == ("192.0.2.1", 0)


def test_unix_sockets_are_believed_only_when_listed():
    assert not believes(plan("0.0.0.0/0", "::/0"), None)
    assert seen(x(for_="192.0.2.1"), proxy(None), plan("0.0.0.0/0"))[0] is None


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
def test_a_network_holds_what_it_holds(address, other, bits):
    network = ipaddress.ip_network(f"{other}/{min(bits, other.max_prefixlen)}", strict=False)
    address = getattr(address, "ipv4_mapped", None) or address
    assert believes(plan(str(network)), (str(address), 1)) is (address in network)


# --- the walk ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("198.51.100.7, 192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1, 10.0.0.2", ("192.0.2.1", 0)),
        ("198.51.100.7,192.0.2.1 ,\t10.0.0.2,10.0.0.3", ("192.0.2.1", 0)),
        ("10.0.0.2, 10.0.0.3", ("10.0.0.2", 0)),
        ("garbage, 192.0.2.1, 10.0.0.2", ("192.0.2.1", 0)),
        ("192.0.2.1, garbage, 10.0.0.2", ("10.0.0.2", 0)),
        ("192.0.2.1, unknown, 10.0.0.2", ("10.0.0.2", 0)),
        ("192.0.2.1,, 10.0.0.2", ("10.0.0.2", 0)),
        ("192.0.2.1, garbage", ("10.0.0.9", 4321)),
        ("192.0.2.1,", ("10.0.0.9", 4321)),
        ("", ("10.0.0.9", 4321)),
        ("192.0.2.1:999", ("192.0.2.1", 999)),
        ("192.0.2.1:65536", ("10.0.0.9", 4321)),
        ("192.0.2.1:", ("10.0.0.9", 4321)),
        ("192.0.2.1:_p", ("192.0.2.1", 0)),
        ("192.0.2.256", ("10.0.0.9", 4321)),
        ("192.0.2.01", ("10.0.0.9", 4321)),
        ("2001:DB8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("[2001:db8::1]:80", ("2001:db8::1", 80)),
        ("::ffff:192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1, ::ffff:10.0.0.2", ("192.0.2.1", 0)),
        ("::2", ("::2", 0)),
        ("[192.0.2.1]", ("10.0.0.9", 4321)),
        ("2001:db8::1::2", ("10.0.0.9", 4321)),
        ("example.org", ("10.0.0.9", 4321)),
        ("_hidden", ("10.0.0.9", 4321)),
        ('"192.0.2.1"', ("10.0.0.9", 4321)),
    ],
)
def test_the_walk_of_x_forwarded_for(value, expected):
    assert client(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=192.0.2.1", ("192.0.2.1", 0)),
        ("For=192.0.2.1;by=_me", ("192.0.2.1", 0)),
        ("for=198.51.100.7, for=192.0.2.1", ("192.0.2.1", 0)),
        ("for=192.0.2.1 ,\tfor=10.0.0.2", ("192.0.2.1", 0)),
        ('for="192.0.2.1:80"', ("192.0.2.1", 80)),
        (r'for="192.\0.2.1"', ("192.0.2.1", 0)),
        ('for="[2001:DB8::1]:_port"', ("2001:db8::1", 0)),
        ('for="[2001:db8::1]", for=10.0.0.2', ("2001:db8::1", 0)),
        ("for=192.0.2.1, for=_hidden, for=10.0.0.2", ("10.0.0.2", 0)),
        ("for=192.0.2.1, for=unknown, for=10.0.0.2", ("10.0.0.2", 0)),
        ('for=192.0.2.1, for="unknown:80"', ("10.0.0.9", 4321)),
        ("for=192.0.2.1, proto=https", ("10.0.0.9", 4321)),
        ("for=192.0.2.1;For=192.0.2.1", ("10.0.0.9", 4321)),
        ("for=192.0.2.1,", ("10.0.0.9", 4321)),
        ("for=192.0.2.1:80", ("10.0.0.9", 4321)),
        ("for=2001:db8::1", ("10.0.0.9", 4321)),
        ('for="2001:db8::1"', ("10.0.0.9", 4321)),
        ("for = 192.0.2.1", ("10.0.0.9", 4321)),
        ("for=", ("10.0.0.9", 4321)),
        ('for=""', ("10.0.0.9", 4321)),
        ("192.0.2.1", ("10.0.0.9", 4321)),
        (";for=192.0.2.1;;proto=http;", ("192.0.2.1", 0)),
    ],
)
def test_the_walk_of_forwarded(value, expected):
    assert client(value, RFC) == expected


@pytest.mark.parametrize(
    "client_said", ['for="', 'for="a', 'for=1;x="', '"', r'for="\"', "\\", ",,,"]
)
def test_what_a_client_says_does_not_swallow_what_proxies_append(client_said):
    for appended in ("for=192.0.2.1", 'for="192.0.2.1:1"', 'for=192.0.2.1;host="a,b;for=1.2.3.4"'):
        found = client(f"{client_said}, {appended}, for=10.0.0.2", RFC)
        assert found[0] == "192.0.2.1"


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")),
    st.ip_addresses(v=4).map(str).filter(lambda host: not host.startswith("10.")),
    st.integers(0, 5),
)
def test_whatever_a_client_says_who_asked_the_outermost_proxy_is_found(said, address, hops):
    inner = "".join(f", 10.0.0.{hop}" for hop in range(hops))
    assert client(f"{said}, {address}{inner}") == (address, 0)
    inner = "".join(f", for=10.0.0.{hop}" for hop in range(hops))
    assert client(f"{said}, for={address}{inner}", RFC) == (address, 0)


@given(st.text(st.characters(max_codepoint=255)), st.sampled_from(["for", "proto", "host", "port"]))
def test_no_field_is_an_error_of_the_request(value, name):
    seen([(f"x-forwarded-{name}", value), ("x-forwarded-for", "192.0.2.1")])
    seen([("forwarded", value)], believed=RFC)
    seen([("forwarded", f"for=192.0.2.1;{name}={value}")], believed=RFC)


def test_several_lines_are_one_list():
    lines = [*x(for_="192.0.2.1"), *x(for_="10.0.0.2")]
    assert seen(lines)[0] == ("192.0.2.1", 0)
    lines = [("forwarded", "for=192.0.2.1"), ("forwarded", "for=10.0.0.2")]
    assert seen(lines, believed=RFC)[0] == ("192.0.2.1", 0)


def test_a_chain_is_walked_so_far_and_no_further():
    inner = ["10.0.0.2"] * (MOST_HOPS - 1)
    assert client(", ".join(["192.0.2.1", *inner])) == ("192.0.2.1", 0)
    assert client(", ".join(["192.0.2.1", "10.0.0.3", *inner])) == ("10.0.0.3", 0)
    pairs = [f"for={address}" for address in inner]
    assert client(", ".join(["for=192.0.2.1", *pairs]), RFC) == ("192.0.2.1", 0)
    assert client(", ".join(["for=192.0.2.1", "for=10.0.0.3", *pairs]), RFC) == ("10.0.0.3", 0)


def test_a_long_field_is_looked_at_from_its_end():
    assert client("x," * 200_000 + "192.0.2.1, 10.0.0.2") == ("192.0.2.1", 0)
    assert client("x," * 200_000 + "for=192.0.2.1, for=10.0.0.2", RFC) == ("192.0.2.1", 0)
    assert client('"' + "," * 200_000 + "for=192.0.2.1", RFC) == ("192.0.2.1", 0)
    long = f"for=192.0.2.1;x={'y' * LONGEST}"
    assert client(f"{long}, for=10.0.0.2", RFC) == ("10.0.0.2", 0)
    assert client(long, RFC) == ("10.0.0.9", 4321)


def test_an_entry_that_is_looked_at_in_part_is_not_taken_for_another():
    text = "xfor=192.0.2.1,for=10.0.0.2;x="
    text += "y" * (LONGEST + 1 - len(text))
    assert client(text, RFC) == ("10.0.0.2", 0)
    assert client(text[1:], RFC) == ("192.0.2.1", 0)


# --- scheme, host and port -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [("https", "https"), ("HTTPS", "https"), ("wss", "https"), ("http", "http"), ("ws", "http")],
)
def test_the_scheme(proto, scheme):
    other = proxy(scheme="http" if scheme == "https" else "https")
    assert seen(x(proto=proto), other)[2] == scheme
    assert seen(x(for_="192.0.2.1", proto=proto), other) == (("192.0.2.1", 0), US, scheme)
    assert seen([("forwarded", f"for=_a;proto={proto}")], other, RFC)[2] == scheme


@pytest.mark.parametrize("proto", ["", "ftp", "https:", "on", '"https"'])
def test_what_is_no_scheme_is_not_taken(proto):
    assert seen(x(proto=proto))[2] == "http"
    assert seen(x(proto=proto), proxy(scheme="https"))[2] == "https"


@pytest.mark.parametrize(
    ("clients", "protos", "scheme"),
    [
        ("192.0.2.1, 10.0.0.2", "https, http", "https"),
        ("192.0.2.1, 10.0.0.2", "http, https", "http"),
        ("x, 192.0.2.1", "https, http", "http"),
        ("192.0.2.1", "https, http", "http"),
        ("192.0.2.1, 10.0.0.2", "https", "https"),
        ("a, 192.0.2.1, 10.0.0.2", "https, http", "http"),
        ("garbage", "http, https", "https"),
        (None, "http, https", "https"),
    ],
)
def test_the_scheme_of_the_proxy_that_the_client_asked(clients, protos, scheme):
    fields = x(proto=protos) if clients is None else x(for_=clients, proto=protos)
    assert seen(fields)[2] == scheme


def test_each_entry_of_forwarded_has_its_own_facts():
    value = 'for=1.2.3.4;host=evil, for=192.0.2.1;proto=https;host="a.example:8443", for=10.0.0.2'
    found = seen([("forwarded", f"{value};proto=http;host=b")], believed=RFC)
    assert found == (("192.0.2.1", 0), ("a.example", 8443), "https")


@pytest.mark.parametrize(
    ("facts", "server"),
    [
        ({"host": "a.example"}, ("a.example", 80)),
        ({"host": "a.example", "proto": "https"}, ("a.example", 443)),
        ({"host": "a.example:8443", "proto": "https"}, ("a.example", 8443)),
        ({"host": "a.example:8443", "port": "9"}, ("a.example", 9)),
        ({"host": "a.example:"}, ("a.example", 80)),
        ({"host": "[2001:db8::1]"}, ("2001:db8::1", 80)),
        ({"host": "[2001:db8::1]:81"}, ("2001:db8::1", 81)),
        ({"host": "a b"}, US),
        ({"host": "a.example:65536"}, US),
        ({"port": "443"}, ("10.0.0.1", 443)),
        ({"port": "0"}, US),
        ({"port": "65536"}, US),
        ({"port": "443x"}, US),
        ({"port": "-1"}, US),
        ({"proto": "https"}, US),
    ],
)
def test_our_end_as_the_client_sees_it(facts, server):
    assert seen(x(for_="192.0.2.1", **facts))[1] == server


def test_our_end_on_a_unix_socket():
    peer = proxy(None, server=("/run/a", None))
    assert seen(x(for_="192.0.2.1", port="443"), peer) == (
        ("192.0.2.1", 0),
        ("/run/a", None),
        "http",
    )
    assert seen(x(host="a.example"), peer) == (None, ("a.example", 80), "http")


# --- what is kept --------------------------------------------------------------------------------


def test_the_same_fields_come_to_the_same_peer_and_others_to_another():
    peer = proxy()
    first = peer_of(request(*x(for_="192.0.2.1")), peer, INNER)
    first.prepared = "made by the interface"
    assert peer_of(request(*x(for_="192.0.2.1")), peer, INNER) is first
    second = peer_of(request(*x(for_="192.0.2.2")), peer, INNER)
    assert (second.client, second.prepared) == (("192.0.2.2", 0), None)
    assert peer_of(request(), peer, INNER) is peer
    assert peer.prepared is None
    assert (peer.client, peer.server, peer.scheme) == (("10.0.0.9", 4321), US, "http")


def test_what_is_known_of_our_own_tls_stays_known():
    tls = TlsFacts(0x0304, 0x1301, "TLS_AES_128_GCM_SHA256", "", "", (), "")
    peer = Peer(("10.0.0.9", 4321), US, "https", tls)
    assert peer_of(request(*x(for_="192.0.2.1")), peer, INNER).tls is tls


def test_fields_that_say_nothing_new_make_no_new_peer():
    peer = proxy()
    assert peer_of(request(*x(proto="http", port="8000")), peer, INNER) is peer


def test_the_request_keeps_its_fields():
    head = request(*x(for_="192.0.2.1", host="a.example"))
    before = list(head.fields)
    peer_of(head, proxy(), INNER)
    assert (head.fields, head.authority) == (before, b"inner")
