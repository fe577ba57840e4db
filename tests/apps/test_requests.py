"""What reaches an application: targets, forms, uploads, streams, and who is asking."""

from __future__ import annotations

import hashlib
import os

import pytest

from tests.apps.frameworks import every

MIB = 1024 * 1024


@every()
def test_json(site):
    answer = site.client.get("/json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.json()["greeting"] == "grüß dich"
    assert answer.json()["pid"] in site.daemon.workers()


TARGETS = {
    "utf-8": ("caf%C3%A9/%E6%97%A5%E6%9C%AC", "café/日本"),
    "space and plus": ("a%20b+c", "a b+c"),
    "encoded slash": ("a%2Fb", "a/b"),
    "percent": ("100%25", "100%"),
    "encoded twice": ("%252F", "%2F"),
    "sub-delims": ("a;b,c=d!e$f&g'h(i)*j@k:l~m", "a;b,c=d!e$f&g'h(i)*j@k:l~m"),
    "question mark": ("what%3Fnow", "what?now"),
    "brackets": ("a[0]|b^c", "a[0]|b^c"),
    "astral": ("%F0%9F%A6%84", "🦄"),
}


@every(doors=("tcp", "unix"))
@pytest.mark.parametrize("case", TARGETS)
def test_path(site, case):
    encoded, decoded = TARGETS[case]
    with site.connect() as connection:
        answer = connection.ask(f"/echo/{encoded}")
    assert answer.status == 200, answer.text
    assert answer.json["path"] == decoded


QUERIES = {
    "none": ("", []),
    "empty": ("?", []),
    "repeated": ("?a=1&a=2&b=", [["a", "1"], ["a", "2"], ["b", ""]]),
    "utf-8": ("?q=%E2%82%AC+%26+%3D", [["q", "€ & ="]]),
    "plus": ("?a=1%2B1", [["a", "1+1"]]),
    "raw brackets": ("?a[]=1&b{x}=2|3", [["a[]", "1"], ["b{x}", "2|3"]]),
    "slashes": ("?next=/a/b?c=/d", [["next", "/a/b?c=/d"]]),
    "lone percent": ("?discount=50%", [["discount", "50%"]]),
}


@every(doors=("tcp", "unix"))
@pytest.mark.parametrize("case", QUERIES)
def test_query(site, case):
    query, pairs = QUERIES[case]
    with site.connect() as connection:
        answer = connection.ask(f"/echo/here{query}")
    assert answer.status == 200, answer.text
    assert sorted(answer.json["query"]) == pairs


@every(doors=("tcp",))
def test_octets_that_are_no_text_do_no_harm(site):
    """What they show as is the framework's choice; that it is asked, and answers, is ours."""
    with site.connect() as connection:
        answer = connection.ask("/echo/a%FFb%C3?q=%FE")
        assert answer.status == 200
        assert answer.json["path"].startswith("a")
        assert connection.ask("/json").status == 200


@every(doors=("tcp", "activated"))
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_method(site, method):
    answer = site.client.request(method, "/echo/here")
    assert answer.status_code == 200
    assert answer.json()["method"] == method


@every()
def test_form(site):
    fields = {"name": "Zoë & Sons", "city": "Łódź=1 %"}
    answer = site.client.post("/form", data=fields)
    assert answer.status_code == 200
    assert answer.json() == fields


@every("upload")
def test_upload(site):
    """Larger than the frameworks keep in memory, so that they spool it to a file."""
    data = os.urandom(3 * MIB + 17)
    answer = site.client.post(
        "/upload", files={"file": ("naïve ☃.bin", data)}, data={"note": "größer"}
    )
    assert answer.status_code == 200
    assert answer.json() == {
        "filename": "naïve ☃.bin",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "note": "größer",
    }


@every("incoming")
def test_body_is_read_while_it_is_sent(site, token):
    """The second half is sent when the application has seen the first."""
    halves = [os.urandom(256 * 1024), os.urandom(MIB)]
    with site.connect() as connection:
        connection.putrequest("PUT", f"/sink?token={token}")
        connection.putheader("Content-Length", str(sum(map(len, halves))))
        connection.endheaders(halves[0])
        site.wait_for_note(f"sink began {token}")
        connection.send(halves[1])
        answer = connection.answer()
    assert answer.json == _as_seen(b"".join(halves))


@every("incoming", "chunked")
def test_chunks_are_read_while_they_are_sent(site, token):
    """The same, by a client that does not know how much there will be."""
    halves = [os.urandom(256 * 1024), os.urandom(MIB)]

    def chunks():
        yield halves[0]
        site.wait_for_note(f"sink began {token}")
        yield halves[1]

    answer = site.client.put(f"/sink?token={token}", content=chunks())
    assert answer.json() == _as_seen(b"".join(halves))


@every("chunked")
def test_small_chunks(site, token):
    parts = [b"%d," % number for number in range(3000)]
    answer = site.client.put(f"/sink?token={token}", content=iter(parts))
    assert answer.json() == _as_seen(b"".join(parts))


@every()
@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_003])
def test_body_of_known_length(site, token, size):
    body = os.urandom(size)
    answer = site.client.put(f"/sink?token={token}", content=body)
    assert answer.json() == _as_seen(body)


@every(doors=("tcp",))
def test_continue_is_sent_when_the_body_is_wanted(site, token):
    with site.raw() as sock, sock.makefile("rb") as answer:
        sock.sendall(
            f"PUT /sink?token={token} HTTP/1.1\r\nHost: site.test\r\n"
            "Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert answer.readline() == b"\r\n"
        sock.sendall(b"hello")
        assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
        assert b'"size"' in answer.read()


@every("peer")
def test_who_is_asking(site):
    """Forwarding fields are not ours to interpret: anybody can send them."""
    forwarded = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    answer = site.client.get("/where", headers=forwarded).json()
    is_unix = isinstance(site.address, str)
    assert answer == {
        "prefix": "",
        "url": "/where",
        "client": None if is_unix else "127.0.0.1",
        "scheme": "http",
        "forwarded": "203.0.113.9",
        "host": "site.test",
    }


@every(doors=("tcp",))
def test_many_requests_on_one_connection(site):
    with site.connect() as connection:
        pids = {connection.ask("/json").json["pid"] for _ in range(50)}
    assert len(pids) == 1


@every(doors=("tcp",))
def test_pipelined_requests_are_answered_in_order(site):
    request = "GET /echo/{} HTTP/1.1\r\nHost: site.test\r\n\r\n"
    last = "GET /json HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"
    with site.raw() as sock, sock.makefile("rb") as answer:
        sock.sendall("".join([*(request.format(f"no{n}") for n in range(20)), last]).encode())
        text = answer.read().decode()
    places = [text.index(f"no{n}") for n in range(20)]
    assert places == sorted(places)
    assert text.count("HTTP/1.1 200 OK") == 21


def _as_seen(body: bytes) -> dict:
    return {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
