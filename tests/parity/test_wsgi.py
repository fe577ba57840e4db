"""WSGI through a daemon, under wsgiref's validator: PEP 3333 from a socket to an application."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.sites import wsgi_served
from tests.process.daemon import wait_until

BODY = b"one\ntwo lines\n\nlast"


@pytest.fixture(scope="module", params=["native", "pure"])
def daemon(serving, request):
    return serving(
        "wsgi_served",
        "wsgi",
        f'engine = "{request.param}"',
        'url_path_prefix = "/l"',
        "blocking_threads = 2",
        environ={"SECRET": "hidden"},
    )


def test_the_validator_has_no_complaint(daemon):
    """Of this run; each complaint is an AssertionError in the application, and a 500."""
    for path in wsgi_served.PATHS.keys() - {"/echo"}:
        for method in ("GET", "HEAD"):
            assert daemon.get(f"/l{path}", method).status in (200, 404, 503), path
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize(
    ("way", "parts"),
    [
        ("whole", [BODY]),
        ("rest", [BODY[:3], BODY[3:]]),
        ("line", BODY.splitlines(keepends=True)),
        ("lines", BODY.splitlines(keepends=True)),
        ("iteration", BODY.splitlines(keepends=True)),
        ("sized", [b"one\n", b"two ", b"lines\n"]),
    ],
)
def test_every_way_to_read_a_body(daemon, way, parts):
    answer = daemon.get(f"/l/echo?{way}", "POST", BODY)
    assert [part.encode() for part in answer.json] == parts


def test_a_generator_says_its_status_when_it_starts(daemon):
    answer = daemon.get("/l/generator")
    assert (answer.status, answer.fields["x-late"], answer.text) == (404, "1", "one two")


def test_write(daemon):
    assert daemon.get("/l/written").text == "one two three"


def test_a_head_is_taken_back_with_exc_info(daemon):
    assert (daemon.get("/l/mended").status, daemon.get("/l/mended").text) == (503, "sorry")


def test_close_is_called(daemon):
    note = daemon.directory / "closed"
    note.unlink(missing_ok=True)
    assert daemon.get("/l/closing").text == "one two"
    wait_until(lambda: note.exists() and note.read_text() == "closed\n")


def test_a_file(daemon):
    assert daemon.get("/l/file").body == Path(wsgi_served.__file__).read_bytes()


def test_the_prefix_is_cut_from_what_lies_below_it_alone(daemon):
    below, beside = daemon.get("/l/x").json, daemon.get("/late").json
    assert (below["SCRIPT_NAME"], below["PATH_INFO"]) == ("/l", "/x")
    assert (beside["SCRIPT_NAME"], beside["PATH_INFO"]) == ("/l", "/late")


def test_threads_and_processes_are_told_as_they_are(daemon):
    shown = daemon.get("/l/shown").json
    assert (shown["wsgi.multithread"], shown["wsgi.multiprocess"]) == (True, False)


def test_the_environment_of_the_process_is_kept_from_the_request(daemon):
    assert daemon.get("/l/shown").json["secret"] is False


def test_two_workers_are_two_processes(serving):
    lines = ["blocking_threads = 1"]
    own = serving("wsgi_served", "wsgi", *lines, workers=2, environ={"SECRET": "hidden"})
    shown = own.get("/shown").json
    assert (shown["wsgi.multithread"], shown["wsgi.multiprocess"]) == (False, True)
