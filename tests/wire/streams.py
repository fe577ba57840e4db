"""What peers may send: requests of every shape, good and bad, and what can become of their octets.

A request is built of pieces that are good one by one and need not go together; a stream is a few
of them, or a vector, with octets changed, lost, doubled and moved. All choices are of the dice: a
random.Random, or hypothesis in its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.wire.vector_files import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE"]
ODD_METHODS = [b"get", b"M-SEARCH", b"!#$%&'*+-.^_`|~09", b"X" * 32, b"X" * 33, b"CONNECT", b"G@T"]
PATHS = [b"/", b"/", b"/a", b"/a/b;c=d", b"/%20%e2%82%ac", b"//x", b"/[|]^", b"/~'!$&()*+,:@"]
ODD_PATHS = [b"/%zz", b"/a%", b"/a%4", b'/"', b"/a#b", b"/\xe9", b"x", b"", b"a:80", b"/{}", b"/\0"]
QUERIES = [b"", b"", b"?", b"?a=b&c", b"?a?b", b"?{}`\\[|]^", b"?%", b"?/:@"]
ODD_QUERIES = [b'?"', b"?a#b", b"?\xe9", b"?<", b"? "]
OTHER_FORMS = [b"http://b/x?y", b"http://b/x?y", b"HTTP://b:81", b"http://b?q", b"http://[::1]:80/"]
ODD_FORMS = [
    b"*",
    b"https://b/",
    b"ftp://b/",
    b"http://u@b/",
    b"http:///x",
    b"http://b:x/",
    b"http:/b",
]
VERSIONS = [*[b"HTTP/1.1"] * 7, b"HTTP/1.0"]
ODD_VERSIONS = [b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.10", b"HTTP/1.", b""]

TCHARS = b"!#$%&'*+-.^_`|~09azAZ"
SPACES = [b" ", b" ", b" ", b"", b"\t", b" \t "]
HOSTS = [b"a", b"a", b"example.org", b"a:8080", b"[::1]", b"[2001:db8::1]:80", b"127.0.0.1:65535"]
HOSTS += [b"a:", b"_x-y.~!$&'()*+;=", b"a,b", b"a%20b"]
ODD_HOSTS = [
    b"",
    b"a b",
    b"a:65536",
    b"a:123456",
    b"u@a",
    b"a/b",
    b":80",
    b"a:8x",
    b"[::1",
    b"\xe9",
]
OPTIONS = [b"close", b"keep-alive", b"Close", b"KEEP-ALIVE , te", b"te, close", b",,close,", b"x"]
OPTIONS += [
    b"x-close",
    b"close\t,",
    b"clos",
    b"upgrade",
    b"close;x",
    b"",
    b",",
    b"close,keep-alive",
]
EXPECTATIONS = [b"100-continue", b"100-Continue, ", b"200-ok", b"100-continue, x", b""]
LENGTHS = [b"0", b"5", b"5", b"5", b"05", b"7", b"65536", b"65537", b"0" * 17 + b"5", b"9" * 18]
ODD_LENGTHS = [b"5, 5", b"+5", b"5 5", b"", b"-5", b"0x5", b"5_0", b"9" * 19, b"0" * 18 + b"5"]
ODD_LENGTHS += [b"0" * 30 + b"5", b"1" + b"0" * 30, b"9223372036854775808", b"18446744073709551621"]
CODINGS = [b"chunked", b"chunked", b"Chunked"]
ODD_CODINGS = [
    b"gzip, chunked",
    b"chunked, chunked",
    b"gzip",
    b"",
    b"chunked;x",
    b"x chunked",
    b",",
]
NAMES = [b"X-Y", b"Accept", b"COOKIE", b"user-agent", b"x" * 127, b"x" * 128, b"x" * 129, b"Expec"]
VALUES = [b"", b"z", b"a b\tc", b'"quoted, \\"', b"\xff\x80", b"v" * 300, b" "]
ODD_VALUES = [b"\0", b"\x01", b"\x7f", b"a\rb", b"a\nb"]
ODD_LINES = [
    b" folded\r\n",
    b"X Y: z\r\n",
    b"X : y\r\n",
    b"no colon\r\n",
    b": y\r\n",
    b"X: a\nY: b\r\n",
]
ODD_LINES += [
    b"X: a\rb\r\n",
    b"X: \0\r\n",
    b"X\0: y\r\n",
    b"\xe9: y\r\n",
    b"X: y\n",
    b"X: y\r",
    b"\r\n",
]

CONTENTS = [b"x", b"hello", b"hello", b"\r\n", b"0\r\n\r\n", b"y" * 300, b"GET / HTTP/1.1\r\n"]
LARGE = [100, 65_535, 65_536, 65_537, 70_000]
SIZES = [b"%x", b"%x", b"%x", b"%X", b"0%x", b"00000%x", b"000000%x", b"0000000%x", b"%015x"]
ODD_SIZES = [
    b"%x" + b"0" * 15,
    b"%x" + b"0" * 20,
    b"-%x",
    b"0x%x",
    b"f%x",
    b" %x",
    b"f" * 16,
    b"g%x",
]
EXTENSIONS = [b"", b"", b"", b";x", b";x=y", b' ; x="a;b"', b"\t;q", b";a;b=c", b";" + b"x" * 2000]
ODD_EXTENSIONS = [b";", b" ", b";x=", b';x="', b"x", b";x=y z", b";\0", b";" + b"x" * 5000, b";x\r"]
LAST_CHUNKS = [b"0\r\n", b"0\r\n", b"0\r\n", b"00\r\n", b"0;x\r\n", b"00000000\r\n"]
TRAILERS = [b"", b"", b"X: y\r\n", b"X: y\r\nZ:\r\n", (b"X: " + b"y" * 80 + b"\r\n") * 3]
ODD_TRAILERS = [
    b"no colon\r\n",
    b" f\r\n",
    b"X:\0\r\n",
    b"X: y\n",
    b"X: y\r\r\n",
    b"X: " + b"y" * 300,
]
ODD_TRAILERS += [b"Content-Length: 5\r\n", b": y\r\n"]

VECTORS = [vector.sent for vector in load() if vector.sent and len(vector.sent) < 9000]

# Of a mutation: what it does to the octets between two places, with a few octets of its own.
MUTATIONS: list[Callable[[bytes, int, int, bytes], bytes]] = [
    lambda data, at, to, own: data[:at] + own + data[at:],
    lambda data, at, to, own: data[:at] + own + data[at + 1 :],
    lambda data, at, to, own: data[:at] + bytes([data[at] ^ (1 << to % 8)]) + data[at + 1 :],
    lambda data, at, to, own: data[:at] + data[to:],
    lambda data, at, to, own: data[:at] + data[to : to + 40] + data[at:],
    lambda data, at, to, own: data[:at] + data[at:].replace(b"\r\n", own, 1),
    lambda data, at, to, own: data[:at] + data[at:].replace(b"\r\n", b"\r\n" + own, 1),
    lambda data, at, to, own: data[:at] + data[at:].replace(b" ", own, 1),
    lambda data, at, to, own: data[:at] + data[at:].swapcase(),
]
OWN = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"9",
    b"\0",
    b"\x7f",
]
OWN += [
    b"\x80",
    b"\xff",
    b"",
    b"%",
    b"/",
    b"?",
    b"a",
    b"A",
    b"-",
    b'"',
    b"[",
    b"@",
    b"Host: b\r\n",
    b"X: y\r\n",
]
OWN += [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"]
OWN += [b"Expect: 100-continue\r\n"]


class Peer:
    """Somebody who sends; `oddness` is how often it does what it should not, of a hundred times."""

    def __init__(self, dice: Random, oddness: int) -> None:
        self._dice = dice
        self._oddness = oddness

    def _one(self, usual: Sequence[bytes], odd: Sequence[bytes]) -> bytes:
        choose_odd = self._oddness and self._dice.randrange(100) < self._oddness
        return self._dice.choice(odd if choose_odd else usual)

    def _some(self, most: int) -> range:
        return range(self._dice.randrange(most + 1))

    def request(self) -> bytes:
        """A request with all that belongs to it."""
        dice = self._dice
        before = self._one([b""], [b"\r\n", b"\r\n\r\n", b"\n", b"\r"])
        lines = [before, self._line(), self._field(b"Host", self._one(HOSTS, ODD_HOSTS))]
        lines += [self._any_field() for _ in self._some(3)]
        if dice.randrange(8) == 0:
            lines.append(self._field(b"Expect", self._one(EXPECTATIONS[:2], EXPECTATIONS)))
        body, framing = b"", dice.randrange(6)
        if framing == 1:
            body = dice.choice(CONTENTS)
            lines.append(b"Content-Length: %d\r\n" % len(body))
        elif framing == 2:
            body = b"b" * dice.choice(LARGE)
            lines.append(b"Content-Length: %d\r\n" % len(body))
        elif framing == 3:
            body = b"hello"
            lines.append(self._field(b"Content-Length", self._one(LENGTHS, ODD_LENGTHS)))
        elif framing == 4:
            body = self._chunked()
            lines.append(self._field(b"Transfer-Encoding", self._one(CODINGS, ODD_CODINGS)))
        return b"".join([*lines, b"\r\n", body])

    def _line(self) -> bytes:
        path = self._one(PATHS, ODD_PATHS) + self._one(QUERIES, ODD_QUERIES)
        target = path if self._dice.randrange(4) else self._one([path, *OTHER_FORMS], ODD_FORMS)
        method = self._one(METHODS, ODD_METHODS)
        return b"%b %b %b\r\n" % (method, target, self._one(VERSIONS, ODD_VERSIONS))

    def _field(self, name: bytes, value: bytes) -> bytes:
        dice = self._dice
        name = dice.choice([name, name, name.lower(), name.upper()])
        return b"%b:%b%b%b\r\n" % (name, dice.choice(SPACES), value, dice.choice(SPACES))

    def _any_field(self) -> bytes:
        dice = self._dice
        kind = dice.randrange(9 if dice.randrange(30) < self._oddness else 6)
        if kind < 2:
            return self._field(dice.choice(NAMES), self._one(VALUES, ODD_VALUES))
        if kind == 2:
            name = bytes(dice.choice(TCHARS) for _ in range(1 + dice.randrange(6)))
            return self._field(name, dice.choice(VALUES[:5]))
        if kind == 3:
            return self._field(b"Connection", dice.choice(OPTIONS))
        if kind < 6:
            return self._field(b"TE", dice.choice([b"trailers", b"Trailers, gzip", b"gzip"]))
        if kind == 6:
            return self._one([b"X: y\r\n"], ODD_LINES)
        if kind == 7:
            return self._field(b"Content-Length", self._one(LENGTHS, ODD_LENGTHS))
        return self._field(b"Transfer-Encoding", self._one(CODINGS, ODD_CODINGS))

    def _chunked(self) -> bytes:
        pieces = []
        for _ in self._some(3):
            content = self._dice.choice(CONTENTS)
            size = self._one(SIZES, ODD_SIZES)
            pieces.append(size % len(content) if b"%" in size else size)
            pieces += [
                self._one(EXTENSIONS, ODD_EXTENSIONS),
                self._one([b"\r\n"], [b"\n", b"\r\r\n"]),
            ]
            pieces += [content, self._one([b"\r\n"], [b"\n", b"", b"\r", b"x\r\n"])]
        end = [self._one(LAST_CHUNKS, [b"0\n", b"", b"0\r"]), self._one(TRAILERS, ODD_TRAILERS)]
        return b"".join([*pieces, *end, b"\r\n"])


def stream(dice: Random) -> bytes:
    """What a peer sends on one connection."""
    kind = dice.randrange(14)
    if kind == 0:
        return dice.choice(VECTORS)
    if kind == 1:
        return mutated(dice, dice.choice(VECTORS))
    peer = Peer(dice, (0, 0, 0, 0, 0, 0, 0, 2, 2, 5, 5, 20)[kind - 2])
    data = b"".join([peer.request() for _ in range(1 + dice.randrange(4))])
    return mutated(dice, data) if dice.randrange(5) == 0 else data


def mutated(dice: Random, data: bytes) -> bytes:
    """A stream to which a few things have happened."""
    for _ in range(1 + dice.randrange(3)):
        # Most of what matters stands in the first lines: half of the places are there.
        most = len(data) if dice.randrange(2) else min(len(data), 150)
        if most:
            at, to = dice.randrange(most), dice.randrange(most)
            data = dice.choice(MUTATIONS)(data, at, to, dice.choice(OWN))
    return data


def pieces(dice: Random, data: bytes) -> list[bytes]:
    """A stream as packets."""
    way = dice.randrange(7)
    if way == 0 or not data:
        return [data]
    if way == 1 and len(data) < 600:
        return [data[at : at + 1] for at in range(len(data))]
    if way < 4:  # about where heads, bodies and trailers end
        ends = [end.end() for end in re.finditer(rb"\r\n\r\n", data)]
        edges = [min(end + dice.choice([0, 0, 0, -1, -2, 1, 5, 6]), len(data)) for end in ends[:9]]
    else:
        edges = [dice.randrange(len(data) + 1) for _ in range(1 + dice.randrange(6))]
    edges.sort()
    return [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]
