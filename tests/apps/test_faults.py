"""Applications that fail, and peers that go away: the daemon lives, and leaks nothing."""

from __future__ import annotations

import os
from contextlib import suppress

import httpx
import pytest

from tests.apps.frameworks import every
from tests.process.daemon import wait_until


@every()
def test_exception_is_a_500_and_a_traceback(site, token):
    with site.connect() as connection:
        before = connection.ask("/json").json["pid"]
        answer = connection.ask(f"/crash?token={token}")
        assert answer.status == 500
        assert token not in answer.text
        after = connection.ask("/json").json["pid"]
    assert before == after
    site.daemon.wait_for_log(f"RuntimeError: crash on purpose {token}")  # it may be raised later
    assert "Traceback (most recent call last)" in site.daemon.log


@every("midway")
def test_exception_behind_the_head_is_a_traceback_too(site, token):
    with suppress(httpx.TransportError):
        site.client.get(f"/crash-midway?token={token}")
    site.daemon.wait_for_log(f"RuntimeError: crash on purpose {token}")
    assert site.client.get("/json").status_code == 200


@every("cut")
def test_exception_behind_the_head_cuts_the_answer(site, token):
    """The client must not take what it has for the whole (RFC 9112 8)."""
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):  # cut, or reset
        site.client.get(f"/crash-midway?token={token}")


@every()
def test_endless_stream_ends_with_its_reader(site, token):
    """Some frameworks leave the generator to the collector, which runs when others are served."""
    with site.raw() as sock:
        sock.sendall(f"GET /endless?token={token} HTTP/1.1\r\nHost: site.test\r\n\r\n".encode())
        assert sock.recv(100)
    site.wait_for_note(f"endless ended {token}", meanwhile=site.be_busy)


@every("listen")
def test_disconnection_is_seen_without_sending(site, token):
    with site.raw() as sock:
        sock.sendall(f"GET /listen?token={token} HTTP/1.1\r\nHost: site.test\r\n\r\n".encode())
        site.wait_for_note(f"listen began {token}")
    site.wait_for_note(f"listen ended {token}")


@every("broken")
def test_upload_that_is_never_completed(site, token):
    """The application is told, and whoever gave up is no error in the log."""
    with site.raw() as sock:
        sock.sendall(
            f"PUT /sink?token={token} HTTP/1.1\r\nHost: site.test\r\n"
            "Content-Length: 1000000\r\n\r\n".encode()
        )
        sock.sendall(bytes(200_000))
        site.wait_for_note(f"sink began {token}")
    site.wait_for_note(f"sink broken {token}")
    assert site.client.get("/json").status_code == 200


@every(doors=("tcp",))
def test_nothing_is_left_of_those_who_went_away(site, token):
    """Descriptors come back to what they were, whichever way a client leaves."""
    site.put_file(token, 3_000_000)
    site.client.get("/json")
    paths = [f"/endless?token={token}", f"/file?name={token}", "/stream?count=500&size=9000"]
    # One more for each worker: some descriptors are opened at the first use and kept.
    most = _descriptors(site) + len(site.daemon.workers())
    for turn in range(30):
        with site.raw() as sock:
            path = paths[turn % len(paths)]
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: site.test\r\n\r\n".encode())
            assert sock.recv(100)

    def are_back():
        site.be_busy()  # as above
        return _descriptors(site) <= most

    wait_until(
        are_back,
        lambda: f"{_descriptors(site)} descriptors, at most {most} are accounted for",
    )


@every(doors=("tcp",))
def test_invalid_request_is_refused_and_forgotten(site):
    with site.raw() as sock, sock.makefile("rb") as answer:
        sock.sendall(b"GET /json HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert answer.read().startswith(b"HTTP/1.1 400 ")
    assert site.client.get("/json").status_code == 200


@every(doors=("tcp",))
def test_both_workers_answer(site):
    """New connections reach every worker."""
    seen = set()

    def look():
        with site.connect() as connection:
            seen.add(connection.ask("/json").json["pid"])
        return seen == set(site.daemon.workers())

    wait_until(look, lambda: f"only {seen} of {site.daemon.workers()} answered")
    assert len(seen) == 2


def _descriptors(site) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in site.daemon.workers())
