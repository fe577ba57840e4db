"""Field blocks: by the examples of RFC 7541, against the library hpack, and broken on purpose."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import hpack
import pytest

from granian_d.errors import CompressionBroken, PeerTooBusy, ProtocolViolation

if TYPE_CHECKING:
    from granian_d.engine.native.hpack import Decoder, Encoder
else:
    native = pytest.importorskip("granian_d.engine.native.hpack")
    Decoder, Encoder = native.Decoder, native.Encoder

Fields = list[tuple[bytes, bytes]]

GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
AUTHORITY = (b":authority", b"www.example.com")
REQUESTS = [
    [*GET, AUTHORITY],
    [*GET, AUTHORITY, (b"cache-control", b"no-cache")],
    [
        *((b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html"), AUTHORITY),
        (b"custom-key", b"custom-value"),
    ],
]
PRIVATE = (b"cache-control", b"private")
AT_21 = (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT")
AT_22 = (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT")
LOCATION = (b"location", b"https://www.example.com")
COOKIE = (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1")
RESPONSES = [
    [(b":status", b"302"), PRIVATE, AT_21, LOCATION],
    [(b":status", b"307"), PRIVATE, AT_21, LOCATION],
    [(b":status", b"200"), PRIVATE, AT_22, LOCATION, (b"content-encoding", b"gzip"), COOKIE],
]
# Of the responses the table has 256 octets: what the RFC has by a setting is said by the block here.
SMALL_TABLE = "3fe101"
# RFC 7541 appendix C
EXAMPLES = {
    "C.3": (
        REQUESTS,
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ),
    "C.4": (
        REQUESTS,
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ),
    "C.5": (
        RESPONSES,
        SMALL_TABLE + "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a3133"
        "3a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        "4803333037c1c0bf",
        (
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f"
            "3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076"
            "657273696f6e3d31"
        ),
    ),
    "C.6": (
        RESPONSES,
        SMALL_TABLE + "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d"
        "29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        (
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335df"
            "dfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"
        ),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_the_rfc(name):
    sections, *blocks = EXAMPLES[name]
    decoder = Decoder()
    assert [decoder.decode(bytes.fromhex(block)) for block in blocks] == sections


def some_field(random: Random) -> tuple[bytes, bytes]:
    names = (b":status", b"date", b"set-cookie", b"content-type", b"server", b"te", b"x-%d")
    name = random.choice(names).replace(b"%d", b"%d" % random.randrange(20))
    if random.random() < 0.5:
        return name, random.choice((b"200", b"404", b"a", b"text/plain", b""))
    length = random.choice((0, 1, 5, 30, 200, 3000 if random.random() < 0.1 else 7))
    return name, bytes(random.randrange(256) for _ in range(length))


def some_section(random: Random) -> Fields:
    return [some_field(random) for _ in range(random.randrange(8))]


@pytest.mark.parametrize("seed", range(5))
def test_every_decoder_reads_what_every_encoder_writes(seed):
    random = Random(seed)
    native_encoder, library = Encoder(), hpack.Encoder()
    readers = [(hpack.Decoder(), {"raw": True}), (Decoder(), {})]
    reader = Decoder()
    for _ in range(300):
        fields = some_section(random)
        if random.random() < 0.03:
            native_encoder.resize(random.choice((0, 100, 500, 4096, 1 << 31)))
        if random.random() < 0.03:
            library.header_table_size = random.choice((0, 64, 1000, 4096))
        block = native_encoder.encode(fields)
        for decoder, options in readers:
            assert [tuple(pair) for pair in decoder.decode(block, **options)] == fields
        assert reader.decode(library.encode(fields, huffman=random.random() < 0.5)) == fields


def theirs(block: bytes) -> Fields | None:
    """What the library makes of a block; None when it is broken."""
    decoder = hpack.Decoder()
    decoder.max_header_list_size = 1 << 30
    try:
        return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
    except (hpack.HPACKError, IndexError):
        return None


def ours(block: bytes) -> Fields | None:
    try:
        return Decoder().decode(block)
    except ProtocolViolation:
        return None


@pytest.mark.parametrize("seed", range(5))
def test_broken_blocks_are_broken_for_the_library_too(seed):
    random = Random(seed)
    broken = 0
    for _ in range(800):
        block = bytearray(hpack.Encoder().encode(some_section(random)))
        for _ in range(random.randrange(1, 4)):
            if block:
                block[random.randrange(len(block))] = random.randrange(256)
        expected = theirs(bytes(block))
        assert ours(bytes(block)) == expected
        broken += expected is None
    assert 80 < broken < 720


BROKEN = {
    "index 0": "80",
    "no such index": "be",
    "a name without an entry": "7e0161",
    "a number that does not end": "ffffffff",
    "a number beyond measure": "ff8080808001",
    "a number of many zeros": "ff808080808000",
    "no value": "400161",
    "a value that ends early": "4001610562",
    "a name that ends early": "400561",
    "EOS": "00016184ffffffff",
    "padding of 8 bits": "000161821fff",
    "padding that is not ones": "0001618118",
    "a table larger than allowed": "3fe21f",
    "a table resized behind a field": "8220",
}


@pytest.mark.parametrize("block", BROKEN.values(), ids=BROKEN.keys())
def test_broken(block):
    with pytest.raises(CompressionBroken) as caught:
        Decoder().decode(bytes.fromhex(block))
    assert caught.value.h2_code == 9
    assert caught.value.section.startswith("RFC 7541 ")


def test_every_octet_by_its_huffman_code():
    for octet in range(256):
        field = (b"x", bytes([octet]) * 3)
        assert Decoder().decode(hpack.Encoder().encode([field], huffman=True)) == [field]
        assert hpack.Decoder().decode(Encoder().encode([field]), raw=True) == [field]


def test_an_entry_too_large_for_the_table_empties_it():
    decoder = Decoder()
    small = bytes.fromhex("4001610162")  # a: b, indexed
    assert decoder.decode(small + b"\xbe") == [(b"a", b"b")] * 2
    large = b"\x40\x01a\x7f" + bytes([0x81, 0x20]) + b"v" * (127 + 0x1001)
    assert decoder.decode(large)[0][1] == b"v" * (127 + 0x1001)
    with pytest.raises(CompressionBroken):
        decoder.decode(b"\xbe")


def test_a_bomb():
    decoder = Decoder()
    decoder.decode(b"\x40\x01a\x7f" + bytes([0x81, 0x1E]) + b"v" * (127 + 0xF01))
    assert len(decoder.decode(b"\xbe" * 3, 16384)) == 3
    with pytest.raises(PeerTooBusy):
        decoder.decode(b"\xbe" * 17, 16384)


# --- what is indexed ------------------------------------------------------------------------------


def sizes(encoder, *sections: Fields) -> list[int]:
    return [len(encoder.encode(section)) for section in sections]


def test_a_field_that_repeats_itself_costs_an_octet():
    server = [(b"server", b"granian-d")]
    first, second, third = sizes(Encoder(), server, server, server)
    assert first >= second > third == 1


def test_fields_that_differ_each_time_throw_nothing_out():
    encoder = Encoder()
    server = [(b"server", b"granian-d")]
    sizes(encoder, server, server)
    for number in range(500):
        encoder.encode([(b"etag", b"%d" % number), (b"content-length", b"%d" % number)])
    assert sizes(encoder, server) == [1]


def test_cookies_are_never_indexed():
    encoder = Encoder()
    cookie = [(b"set-cookie", b"a=b")]
    for _ in range(3):
        assert encoder.encode(cookie)[0] & 0xF0 == 0x10  # RFC 7541 6.2.3


def test_usual_statuses_are_an_octet():
    statuses = (200, 204, 206, 304, 400, 404, 500)
    encoder = Encoder()
    assert [encoder.encode([(b":status", b"%d" % status)]) for status in statuses] == [
        bytes([0x88 + index]) for index in range(7)
    ]


def test_the_peer_s_table_is_respected():
    encoder, decoder = Encoder(), hpack.Decoder()
    field = [(b"x", b"y")]
    for _ in range(3):
        decoder.decode(encoder.encode(field))
    encoder.resize(0)
    encoder.resize(100)
    block = encoder.encode(field)
    assert block.startswith(b"\x20\x3f\x45"), "RFC 7541 4.2: the smallest one, then the last"
    decoder.decode(block)
    for _ in range(3):
        assert decoder.decode(encoder.encode(field), raw=True) == field
    assert decoder.header_table.maxsize == 100
