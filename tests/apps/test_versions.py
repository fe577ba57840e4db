"""What matters most, of every site, on each engine and in each version of HTTP."""

from __future__ import annotations

import hashlib
import os

import pytest

from tests.apps.frameworks import FRAMEWORKS, RUNS, on_versions
from tests.apps.h2_talk import Talk
from tests.wire.harness import ENGINES

VERSIONS = {"tcp": "HTTP/1.1", "h2": "HTTP/2"}


@on_versions()
def test_what_is_asked(site, door):
    answer = site.client.post("/echo/caf%C3%A9/a%20b?a=1&a=2&q=%E2%82%AC")
    assert (answer.http_version, answer.status_code) == (VERSIONS[door], 200)
    seen = answer.json()
    assert (seen["method"], seen["path"]) == ("POST", "café/a b")
    assert sorted(map(list, seen["query"])) == [["a", "1"], ["a", "2"], ["q", "€"]]
    assert answer.headers["x-site"] == site.framework.field


@on_versions()
def test_a_body(site, token):
    body = os.urandom(300_000)
    answer = site.client.put(f"/sink?token={token}", content=body)
    assert answer.json() == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


@on_versions("upload")
def test_an_upload(site):
    data = os.urandom(200_000)
    answer = site.client.post("/upload", files={"file": ("a.bin", data)}, data={"note": "größer"})
    assert answer.json() == {
        "filename": "a.bin",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "note": "größer",
    }


@on_versions("incoming", "chunked")
def test_a_body_is_read_while_it_is_sent(site, token):
    halves = [os.urandom(100_000), os.urandom(50_000)]

    def parts():
        yield halves[0]
        site.wait_for_note(f"sink began {token}")
        yield halves[1]

    answer = site.client.put(f"/sink?token={token}", content=parts())
    assert answer.json()["size"] == 150_000


@on_versions()
def test_a_stream(site):
    answer = site.client.get("/stream?count=40&size=9000")
    assert answer.content == b"".join(b"%c" % (97 + number % 26) * 9000 for number in range(40))


@on_versions()
def test_parts_leave_when_they_are_made(site, token):
    with site.client.stream("GET", f"/relay?gate={token}") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"before\n"
        site.open_gate(token)
        assert b"".join(parts) == b"after\n"


@on_versions()
def test_a_file(site, token):
    data = site.put_file(token, 300_007)
    assert site.client.get(f"/file?name={token}").content == data


@on_versions()
def test_a_crash(site, token):
    answer = site.client.get(f"/crash?token={token}")
    assert answer.status_code == 500
    assert token not in answer.text
    site.daemon.wait_for_log(f"RuntimeError: crash on purpose {token}")
    assert site.client.get("/json").status_code == 200


@on_versions()
def test_work_behind_an_answer(site, token):
    assert site.client.post(f"/background?gate={token}").json() == {"accepted": True}
    site.open_gate(token)
    site.wait_for_note(f"background done {token}")


@on_versions("state")
def test_what_was_made_at_startup(site):
    answer = site.client.get("/state").json()
    assert answer["born"] == answer["pid"]
    assert (answer["pid"], "startup") in site.notes()


@pytest.mark.parametrize(
    ("running", "door"),
    [
        pytest.param((name, RUNS[engine]), "h2", id=f"{name}-{engine}-h2")
        for name, framework in FRAMEWORKS.items()
        for engine in ENGINES
        if "sessions" in framework.has
    ],
    indirect=["running"],
    scope="session",
)
def test_a_conversation_in_a_stream(site, token):
    with Talk(site.address, f"/talk?token={token}") as talk:
        assert talk.status == 200
        for message in ("grüß dich", b"\0\xff", "x" * 50_000):
            talk.send(message)
            assert talk.hear() == message
        talk.send("close")
        assert talk.hear() in (1000, 4001)
