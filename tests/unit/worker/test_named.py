"""Requests that have an id before the application sees them."""

from __future__ import annotations

from types import SimpleNamespace

from granian_d.observe.scoreboard import WORDS
from granian_d.plan import MountPlan, StaticPlan
from granian_d.worker import fronts
from granian_d.worker.named import Named
from tests.unit.observe.test_access_log import exchange, line


class Application:
    """An interface that remembers what it was given."""

    def __init__(self):
        self.fields = []
        self.notes = []

    def serve(self, exchange):
        self.fields.append(dict(exchange.head.fields))

    def converse(self, session):
        self.serve(session.exchange)


def test_the_application_reads_what_the_log_tells():
    application = Application()
    named, requests = Named(application), [exchange(fields=[(b"a", b"1")]) for _ in range(2)]
    named.serve(requests[0])
    named.converse(SimpleNamespace(exchange=requests[1]))
    told = [line("%(request_id)s", one) for one in requests]
    assert [fields[b"x-request-id"].decode() for fields in application.fields] == told
    assert all(fields[b"a"] == b"1" for fields in application.fields)
    assert len(set(told)) == 2


def test_those_who_answer_before_the_application_get_on_with_it(tmp_path):
    """A site that says something as it is made says it in the interface's notes."""
    mount = MountPlan(route="/static", directory=str(tmp_path / "gone"))
    terms = {"index": "", "expires_s": 0.0, "precompressed": False, "symlinks": "inside"}
    plan = SimpleNamespace(health="", static=StaticPlan(mounts=(mount,), **terms))
    application = Application()
    row = memoryview(bytearray(8 * WORDS)).cast("Q")
    fronts.make(plan, row, (Named(application), row, None, None, None))
    assert any("gone" in note for note in application.notes)
