"""What leaves an application: pages, streams, files, cookies, and work after the answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.apps.frameworks import every
from tests.apps.running import SITES

MIB = 1024 * 1024


@every("template")
def test_template_escapes(site):
    answer = site.client.get("/page", params={"name": "<b>Žofie</b>"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Hello, &lt;b&gt;Žofie&lt;/b&gt;!" in answer.text


@every()
def test_redirect(site):
    answer = site.client.get("/redirect")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/page?name=friend"


@every("template")
def test_redirect_can_be_followed(site):
    answer = site.client.get("/redirect", follow_redirects=True)
    assert "Hello, friend!" in answer.text


@every("session")
def test_session(site):
    cookies = {}
    for expected in (1, 2, 3):
        answer = site.client.get("/visits", headers=_cookie_field(cookies))
        cookies.update(answer.cookies)
        assert answer.json() == {"visits": expected}
        site.client.cookies.clear()


@every(doors=("tcp",))
def test_fields_that_come_twice_stay_two(site):
    """Set-Cookie cannot be joined into one (RFC 6265 3)."""
    if "session" in site.framework.has:
        cookies = site.client.get("/visits").headers.get_list("set-cookie")
        assert len(cookies) == 1
    else:
        cookies = site.client.get("/visits").headers.get_list("set-cookie")
        assert cookies == ["visits=1; Path=/", "other=1; Path=/"]
    site.client.cookies.clear()


@every()
def test_middleware_sees_every_response(site):
    for path, status in (("/json", 200), ("/redirect", 303), ("/no-such-page", 404)):
        answer = site.client.get(path)
        assert answer.status_code == status
        assert answer.headers["x-site"] == site.framework.field


# --- streams -----------------------------------------------------------------------------------


@every()
def test_stream_is_whole(site):
    with site.client.stream("GET", "/stream?count=60&size=20000") as answer:
        body = answer.read()
    assert answer.headers["transfer-encoding"] == "chunked"
    assert body == b"".join(b"%c" % (97 + number % 26) * 20000 for number in range(60))


@every()
def test_parts_leave_when_they_are_made(site, token):
    """The second part is made when the client has read the first."""
    with site.client.stream("GET", f"/relay?gate={token}") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"before\n"
        site.open_gate(token)
        assert b"".join(parts) == b"after\n"


@every("events")
def test_head_of_an_event_stream_does_not_wait_for_an_event(site, token):
    with site.client.stream("GET", f"/events?gate={token}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        site.open_gate(token)
        assert answer.read() == b"data: now\n\n"


@every(doors=("tcp",))
def test_stream_to_a_client_of_1996(site):
    """HTTP/1.0 has no chunks: the end of the connection is the end of the body."""
    with site.raw() as sock, sock.makefile("rb") as answer:
        sock.sendall(b"GET /stream?count=30&size=9000 HTTP/1.0\r\nHost: site.test\r\n\r\n")
        head, _, body = answer.read().partition(b"\r\n\r\n")
    assert b" 200 OK\r\n" in head
    assert b"chunked" not in head
    assert body == b"".join(b"%c" % (97 + number % 26) * 9000 for number in range(30))


@every(doors=("tcp",))
def test_stream_that_nobody_reads_is_held_back(site, token):
    """An application that never stops makes no more than fits on the way to its reader."""
    with site.connect() as connection:
        connection.request("GET", f"/endless?token={token}")
        assert connection.getresponse().status == 200
        before = _resident_bytes(site)
        for _ in range(5):
            site.be_busy()
        assert _resident_bytes(site) - before < 16 * MIB
    site.wait_for_note(f"endless ended {token}", meanwhile=site.be_busy)


# --- files -------------------------------------------------------------------------------------


@every()
@pytest.mark.parametrize("size", [0, 1, 300_007, 5 * MIB])
def test_file(site, token, size):
    data = site.put_file(token, size)
    answer = site.client.get(f"/file?name={token}")
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(size)
    assert answer.content == data


@every("range")
def test_range_of_a_file(site, token):
    data = site.put_file(token, 300_007)
    for first, last in ((0, 0), (100, 199), (1000, 299_999)):
        answer = site.client.get(f"/file?name={token}", headers={"range": f"bytes={first}-{last}"})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/300007"
        assert answer.content == data[first : last + 1]


@every("static")
def test_static_file(site):
    answer = site.client.get("/static/site.css")
    assert answer.content == (SITES / "static" / "site.css").read_bytes()
    assert answer.headers["content-type"].startswith("text/css")
    tag = {"if-none-match": answer.headers["etag"]}
    again = site.client.get("/static/site.css", headers=tag)
    assert again.status_code == 304
    assert again.content == b""


@every()
def test_not_modified(site):
    """A 304 has no content, and the connection stays usable behind it."""
    with site.connect() as connection:
        first = connection.ask("/tagged")
        assert first.body == b"tagged content"
        again = connection.ask("/tagged", headers={"if-none-match": first.fields["etag"]})
        assert (again.status, again.body) == (304, b"")
        assert again.fields["etag"] == first.fields["etag"]
        assert connection.ask("/json").status == 200


@every("head")
def test_head(site, token):
    site.put_file(token, 40_000)
    with site.connect() as connection:
        for path, length in (("/tagged", "14"), (f"/file?name={token}", "40000")):
            answer = connection.ask(path, "HEAD")
            assert (answer.status, answer.body) == (200, b"")
            assert answer.fields["content-length"] == length
        assert connection.ask("/tagged").body == b"tagged content"


# --- after the answer --------------------------------------------------------------------------


@every()
def test_background_work_does_not_hold_the_answer_up(site, token):
    """It waits for a gate that opens when the client has the answer."""
    answer = site.client.post(f"/background?gate={token}")
    assert answer.status_code == 202
    assert answer.json() == {"accepted": True}
    site.open_gate(token)
    site.wait_for_note(f"background done {token}")


@every("state")
def test_state_made_at_startup(site):
    """Each worker has made its own."""
    answer = site.client.get("/state").json()
    assert answer["born"] == answer["pid"]
    assert (answer["pid"], "startup") in site.notes()


def _cookie_field(cookies):
    pairs = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return {"cookie": pairs} if pairs else {}


def _resident_bytes(site):
    pids = site.daemon.workers()
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")
