"""granian-d plays every case of the public HTTP/2 list, on each engine, with prior knowledge."""

from __future__ import annotations

import pytest

from granian_d.engine.choose import is_compiled
from tests.conformance.h2.case import Verdict, run
from tests.conformance.h2.catalogue import CASES
from tests.conformance.h2.client import Target
from tests.conformance.h2.wire import Failed
from tests.process.daemon import Daemon

# Answers GET with some text, echoes the content of a POST; /large is more than any first window.
APPLICATION = """
PIECES = {"/": 1, "/large": 40}


async def app(scope, receive, send):
    content, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        content += message["body"]
        more = message["more_body"]
    pieces = [content or b"sixteen octets.\\n" * 1024] * PIECES[scope["path"]]
    length = str(len(pieces[0]) * len(pieces)).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain"), (b"content-length", length)]})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
"""
LENGTHS = {"/": 16384, "/large": 40 * 16384}
CONFIG = 'app = "served:app"\ninterface = "asginl"\nport = 0\nworkers = 1\n'

DEADLINE_S = 10.0  # of a case that waits for what does not come

# With "auto" the first octets of a connection tell HTTP/2 from HTTP/1.1.
SERVERS = [(engine, http) for engine in ("pure", "native") for http in ("auto", "2")]
# What waits for, or ends with, an answer that does not fit into a window.
ANSWERS = tuple(
    case
    for case in CASES
    if case.id.startswith(("generic/2/", "http2/5.1/", "http2/5.1.2/", "http2/6.5.3/", "http2/6.9"))
)


@pytest.fixture(scope="module", params=SERVERS, ids="-".join)
def targets(request, tmp_path_factory):
    """A daemon that speaks HTTP/2, by path."""
    engine, http = request.param
    if engine == "native" and not is_compiled():
        pytest.skip("the native engine is not compiled")
    directory = tmp_path_factory.mktemp(f"h2-{engine}-{http}")
    (directory / "served.py").write_text(APPLICATION)
    with Daemon(directory, CONFIG, ("--engine", engine, "--http", http)) as daemon:
        paths = {path: Target("127.0.0.1", daemon.port, path, DEADLINE_S) for path in LENGTHS}
        try:
            lengths = {path: target.content_length for path, target in paths.items()}
        except Failed as failure:
            pytest.fail(f"HTTP/2 as it should be: {failure}; log:\n{daemon.log}", pytrace=False)
        assert lengths == LENGTHS
        yield paths


def play(case, target):
    """Play it; what failed is told with what the server said."""
    result = run(case, target)
    if result.verdict not in (Verdict.OK, Verdict.OK_BY_9113):  # this server gives no cause to skip
        pytest.fail(f"{case.title} (RFC {case.section}): {result.detail}", pytrace=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_h2spec(targets, case):
    play(case, targets["/"])


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.id)
def test_h2spec_with_a_large_answer(targets, case):
    play(case, targets["/large"])
