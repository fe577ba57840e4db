"""What only an application without a framework does."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.apps.frameworks import one


@one("wsgi", doors=("tcp", "unix"))
def test_write_callable(site):
    answer = site.client.get("/written")
    assert answer.text == "written, not returned"


@one("wsgi", doors=("tcp", "unix"))
@pytest.mark.parametrize("count", [3, 30_000])
def test_lines_of_a_body(site, count):
    """Of a small body, and of one that is larger than what is held of it."""
    lines = [b"line %d\n" % number for number in range(count)] + [b"no newline"]
    answer = site.client.post("/lines", content=b"".join(lines))
    assert answer.json() == [len(line) for line in lines]


@one("rsgi")
@pytest.mark.skipif(find_spec("granian") is not None, reason="Granian is installed: its own counts")
def test_granian_is_not_needed(site):
    """The site imports `granian.rsgi`, and what it gets is ours, as what it is given."""
    answer = site.client.get("/origin").json()
    assert answer["protocol"] == answer["given"]
    assert answer["given"].startswith("granian_d.")
