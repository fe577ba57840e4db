"""The access log as JSON: typed fields, and nothing of a peer that a reader could stumble over."""

from __future__ import annotations

import json
import os
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from granian_d.observe.access_json import AccessJson
from granian_d.observe.log import LogFile
from granian_d.settings.model import AccessLog as Options

from .test_access_log import exchange

DEFAULT = Options.model_fields["fmt"].default


def record(done, fmt=DEFAULT):
    log = AccessJson(fmt, LogFile("", -1), lambda flush: flush(), {"worker": 2, "generation": 7})
    assert log.wants_ids
    line = log.line(done)
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    assert line.isascii()
    return json.loads(line)


def test_a_request_is_an_object_with_types():
    fields = [(b"x-request-id", b"a-1"), (b"user-agent", b'curl "8"')]
    done = exchange(b"/a%20b", b"token=hunter2", fields, sent_bytes=11)
    told = record(done)
    assert datetime.fromisoformat(told.pop("time")).tzinfo is not None
    assert isinstance(told["dt_ms"], float)
    assert told.pop("dt_ms") >= 0
    assert told == {
        "request_id": "a-1",
        "addr": "192.0.2.1",
        "port": 5,
        "method": "GET",
        "scheme": "http",
        "authority": "h:1",
        "path": "/a%20b",
        "protocol": "HTTP/1.1",
        "status": 200,
        "size": 11,
        "referer": None,
        "user_agent": r"curl \x228\x22",
        "worker": 2,
        "generation": 7,
        "pid": os.getpid(),
    }


def test_what_the_format_names_beside_is_added_under_its_name():
    fmt = '%(time)s %(header{X-"%s"})s %(query_string)s %(dt_us)05d %(status)d %(header{Host})s'
    told = record(exchange(query=b"a=1", fields=[(b'x-"%s"', b"acme")]), fmt)
    assert told['header{X-"%s"}'] == "acme"
    assert told["header{Host}"] is None
    assert told["query_string"] == "a=1"
    assert isinstance(told["dt_us"], int)


@given(st.binary(), st.text())
def test_whatever_a_peer_sends_is_a_string(value, method):
    fields = [(b"user-agent", value)]
    told = record(exchange(value, value, fields, method), "%(target)s")
    assert told["path"] == told["user_agent"]
    assert told["path"].isprintable()
    assert told["method"] == method
