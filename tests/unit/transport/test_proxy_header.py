"""The header of the PROXY protocol: what is read from it, and what is refused."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.errors import HeadTooLarge, ProtocolViolation
from granian_d.transport.proxy_header import (
    LONGEST_BLOCK,
    LONGEST_LINE,
    SIGNATURE,
    TEXT_MARK,
    Proxied,
    crc32c,
    read_header,
)
from tests.unit.transport.proxy_headers import (
    NOOP,
    UNIQUE_ID,
    block,
    ip_block,
    line,
    tls_vector,
    unix_block,
    vector,
    with_checksum,
)

CLIENT, SERVER = ("192.0.2.7", 56324), ("198.51.100.1", 443)
PORTS = st.integers(0, 65535)
ENDS = st.sampled_from([4, 6]).flatmap(
    lambda v: st.tuples(
        *[st.tuples(st.ip_addresses(v=v).map(str), PORTS)] * 2,
    )
)
VECTORS = st.lists(
    st.builds(
        vector, st.sampled_from([0x01, 0x02, NOOP, UNIQUE_ID, 0x30, 0xE0]), st.binary(max_size=99)
    ),
    max_size=4,
)
HEADERS = st.one_of(
    ENDS.map(lambda ends: line(*ends)),
    st.builds(lambda ends, vectors: ip_block(*ends, *vectors), ENDS, VECTORS),
    st.builds(lambda ends, vectors: with_checksum(*ends, *vectors), ENDS, VECTORS),
    st.sampled_from([b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ::1 ::1 1 2\r\n", block(command=0x20)]),
    st.just(unix_block(b"", b"/run/a.sock")),
)


def parsed(ends):
    return [(ipaddress.ip_address(host), port) for host, port in ends]


@given(ENDS, st.binary(max_size=20))
def test_a_line_says_both_ends(ends, behind):
    written = line(*ends)
    said = read_header(written + behind)
    assert (said.size, said.secure) == (len(written), False)
    assert parsed(said.ends) == parsed(ends)


@given(ENDS, VECTORS, st.binary(max_size=20), st.sampled_from([1, 2]))
def test_a_block_says_both_ends(ends, vectors, behind, transport):
    written = ip_block(*ends, *vectors, transport=transport)
    said = read_header(written + behind)
    assert (said.size, said.secure) == (len(written), False)
    assert parsed(said.ends) == parsed(ends)


@given(HEADERS, st.data())
def test_nothing_is_said_before_the_header_is_whole(header, data):
    at = data.draw(st.integers(0, len(header) - 1))
    assert read_header(header[:at]) is None


@given(st.binary(max_size=300))
def test_garbage_is_refused_at_its_first_octet_that_fits_nowhere(garbage):
    if garbage[:1] in {b"P", b"\r", b""}:
        garbage = b"G" + garbage
    with pytest.raises(ProtocolViolation):
        read_header(garbage[:1])


@pytest.mark.parametrize("mark", [TEXT_MARK, SIGNATURE])
def test_a_mark_with_a_wrong_octet_is_refused_at_that_octet(mark):
    for at in range(len(mark)):
        with pytest.raises(ProtocolViolation):
            read_header(mark[:at] + b"\x01")


@given(st.sampled_from([b"PROXY ", SIGNATURE, SIGNATURE + b"\x21\x11"]), st.binary(max_size=300))
def test_garbage_behind_a_mark_is_a_header_or_an_error(mark, garbage):
    try:
        said = read_header(mark + garbage)
    except ProtocolViolation:
        return
    assert said is None or len(mark) < said.size <= len(mark + garbage)


@given(HEADERS, st.data())
def test_a_changed_octet_never_breaks_the_reader(header, data):
    at = data.draw(st.integers(0, len(header) - 1))
    changed = header[:at] + bytes([data.draw(st.integers(0, 255))]) + header[at + 1 :]
    try:
        said = read_header(changed)
    except ProtocolViolation:
        return
    assert said is None or 0 < said.size <= len(changed)


@pytest.mark.parametrize(
    ("written", "ends"),
    [
        (
            b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n",
            (("255.255.255.255", 65535), ("0.0.0.0", 0)),
        ),
        (b"PROXY TCP6 2001:DB8:0::1 ::1 1 2\r\n", (("2001:db8::1", 1), ("::1", 2))),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN " + b"\xff" * (LONGEST_LINE - 16) + b"\r\n", None),
    ],
)
def test_lines(written, ends):
    assert read_header(written) == Proxied(len(written), ends)
    assert read_header(written + b"GET") == Proxied(len(written), ends)


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY\r\n",
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
        b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP6 ::1%lo ::1 1 2\r\n",
        b"PROXY TCP6 \xff::1 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4\r 1.2.3.4 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY UNKNOWN\n",
        b"PROXY UNKNOWN a\rb\r\n",
    ],
)
def test_lines_that_are_refused(text):
    with pytest.raises(ProtocolViolation) as caught:
        read_header(text)
    assert caught.value.section.startswith("PROXY 2")


def test_the_longest_line():
    address = b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    longest = b"PROXY UNKNOWN " + address + b" " + address + b" 65535 65535\r\n"
    assert len(longest) == 107
    assert read_header(longest) == Proxied(107, None)
    with pytest.raises(HeadTooLarge):
        read_header(longest.replace(b"UNKNOWN ", b"UNKNOWN  "))


def test_a_line_without_end_is_refused_where_the_longest_would_have_ended():
    text = b"PROXY UNKNOWN " + b"x" * 200
    assert read_header(text[: LONGEST_LINE - 1]) is None
    for size in (LONGEST_LINE, LONGEST_LINE + 1):
        with pytest.raises(HeadTooLarge):
            read_header(text[:size])
    with pytest.raises(HeadTooLarge):
        read_header(text[: LONGEST_LINE - 1] + b"\r\n")


def test_the_proxy_may_speak_for_itself():
    for block_ in (
        block(command=0x20, transport=0),
        block(1, b"x" * 12, command=0x20),
        block(15, b"any", command=0x20, transport=15),
        block(0, b"ignored", transport=0),
        block(1, b"x" * 12, transport=0),
        block(0, b"x" * 12, transport=1),
    ):
        assert read_header(block_ + b"more") == Proxied(len(block_), None)


@pytest.mark.parametrize(
    ("client", "server", "path"),
    [
        (b"", b"/run/a.sock", "/run/a.sock"),
        (b"/tmp/c", b"/" + b"x" * 107, "/" + "x" * 107),
        (b"", b"\0name", "@name"),
        (b"", b"", ""),
        (b"", b"/\xff", "/\udcff"),
    ],
)
def test_unix_sockets(client, server, path):
    written = unix_block(client, server)
    assert read_header(written) == Proxied(len(written), (None, (path, None)))


@pytest.mark.parametrize(("bits", "secure"), [(0, False), (1, True), (7, True), (2, False)])
def test_a_client_with_tls(bits, secure):
    assert read_header(ip_block(CLIENT, SERVER, tls_vector(bits))).secure is secure


@pytest.mark.parametrize(
    "header",
    [
        block(command=0x11),
        block(command=0x22),
        block(command=0x2F),
        block(4, b"x" * 216),
        block(1, b"x" * 12, transport=3),
        block(1, b"x" * 11),
        block(2, b"x" * 35),
        block(3, b"x" * 215),
        ip_block(CLIENT, SERVER, b"\x04"),
        ip_block(CLIENT, SERVER, b"\x04\x00"),
        ip_block(CLIENT, SERVER, b"\x04\x00\x02a"),
        ip_block(CLIENT, SERVER, vector(0x20, b"\x01\x00\x00\x00")),
        ip_block(CLIENT, SERVER, vector(0x03, b"")),
        ip_block(CLIENT, SERVER, vector(0x03, bytes(4))),
    ],
)
def test_blocks_that_are_refused(header):
    with pytest.raises(ProtocolViolation) as caught:
        read_header(header + b"behind")
    assert caught.value.section.startswith("PROXY 2.2")


def test_a_block_that_is_too_long_is_refused_before_it_has_come():
    longest = LONGEST_BLOCK - 16
    assert read_header(block(1, length=longest)) is None
    with pytest.raises(HeadTooLarge):
        read_header(block(1, length=longest + 1))
    filled = ip_block(CLIENT, SERVER, vector(NOOP, bytes(longest - 12 - 3)))
    assert read_header(filled) == Proxied(LONGEST_BLOCK, (CLIENT, SERVER))


@given(ENDS, VECTORS, st.data())
def test_a_checksum_holds_and_notices_a_changed_bit(ends, vectors, data):
    written = with_checksum(*ends, *vectors)
    assert parsed(read_header(written).ends) == parsed(ends)
    at = data.draw(st.integers(16, len(written) - 1))
    if at in range(len(written) - 7, len(written) - 4):  # the vector's own type and length
        return
    bit = 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ProtocolViolation):
        read_header(written[:at] + bytes([written[at] ^ bit]) + written[at + 1 :])


def test_the_checksum_is_that_of_the_rfc():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32/ISCSI
    assert crc32c(b"\0" * 32) == 0x8A9136AA  # RFC 3720 B.4
