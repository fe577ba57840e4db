"""The wire between granianctl and the master: what is a record, and what is none."""

from __future__ import annotations

import json
import os
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.control import wire
from granian_d.control.channel import sealed_memory

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = {str: TEXT, bool: st.booleans(), int: st.integers(-(2**63), 2**63)}


def of_kinds(kinds):
    fields = {kind: get_type_hints(kind).items() for kind in kinds.values()}
    return st.one_of(
        [st.builds(kind, **{n: VALUES[t] for n, t in hints}) for kind, hints in fields.items()]
    )


@given(of_kinds(wire.REQUESTS))
def test_every_request_comes_as_it_was_sent(request):
    line = wire.encode(request)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    received = wire.decode_request(line)
    assert (type(received), received) == (type(request), request)


@given(of_kinds(wire.ANSWERS))
def test_every_answer_comes_as_it_was_sent(answer):
    line = wire.encode_answer(answer)
    assert line.count(b"\n") == 1
    received = wire.decode_answer(line)
    assert (type(received), received) == (type(answer), answer)


GOOD = {"v": 1, "kind": "reload", "wait": True}

WRONG = {
    "no JSON": b"reload",
    "nothing": b"",
    "no UTF-8": b'{"v": 1, "kind": "\xff"}',
    "nested too deep": b"[" * 4000,
    "a list": b"[1]",
    "no version": json.dumps({"kind": "stop"}).encode(),
    "another version": json.dumps({**GOOD, "v": 2}).encode(),
    "a version that equals 1": json.dumps({**GOOD, "v": True}).encode(),
    "no kind": json.dumps({"v": 1}).encode(),
    "an unknown kind": json.dumps({"v": 1, "kind": "explode"}).encode(),
    "a kind in capitals": json.dumps({**GOOD, "kind": "Reload"}).encode(),
    "a kind that is no text": json.dumps({**GOOD, "kind": ["reload"]}).encode(),
    "an answer": wire.encode(wire.Done(0, "")),
    "a field too few": json.dumps({"v": 1, "kind": "reload"}).encode(),
    "a field too many": json.dumps({**GOOD, "hurry": 1}).encode(),
    "a number for a bool": json.dumps({**GOOD, "wait": 1}).encode(),
    "a bool for a number": json.dumps({"v": 1, "kind": "scale", "workers": True}).encode(),
    "a text for a number": json.dumps({"v": 1, "kind": "scale", "workers": "3"}).encode(),
    "a fraction for a number": json.dumps({"v": 1, "kind": "scale", "workers": 3.0}).encode(),
}


@pytest.mark.parametrize("line", WRONG.values(), ids=WRONG)
def test_what_is_no_request(line):
    assert wire.decode_request(json.dumps(GOOD).encode()) == wire.Reload(wait=True)
    with pytest.raises(wire.Misunderstood):
        wire.decode_request(line)


@given(st.binary(max_size=200))
def test_octets_that_are_no_record_are_refused_and_nothing_else_happens(octets):
    for decode in (wire.decode_request, wire.decode_answer):
        with pytest.raises(wire.Misunderstood):
            decode(octets)


@pytest.mark.parametrize("character", ["a", "\x01", "\u20ac", "\U0001f40d", "\udcff"])
def test_an_answer_that_is_too_long_keeps_its_end(character):
    sentence = "the begin " + character * wire.ANSWER_BYTES + " the end"
    for answer in (wire.Phase("worker_failed", "error", sentence), wire.Done(70, sentence)):
        line = wire.encode_answer(answer)
        assert len(line) <= wire.ANSWER_BYTES
        assert wire.decode_answer(line)[-1].endswith(" the end")


def test_a_document_is_read_and_closed():
    fd = sealed_memory("größer".encode())
    assert wire.read_document(fd) == "größer"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def not_sealed():
    fd = os.memfd_create("open", os.MFD_ALLOW_SEALING)
    os.write(fd, b"text")
    return fd


def a_fifo():
    reading, writing = os.pipe()
    os.close(writing)
    return reading


@pytest.mark.parametrize("make", [not_sealed, a_fifo, lambda: os.open("/dev/zero", os.O_RDONLY)])
def test_what_might_change_or_hold_up_its_reader_is_no_document(make):
    fd = make()
    assert not wire.is_sealed(fd)
    with pytest.raises(wire.Misunderstood, match="not sealed"):
        wire.read_document(fd)


def test_a_document_has_a_limit(monkeypatch):
    monkeypatch.setattr(wire, "DOCUMENT_BYTES", 3)
    with pytest.raises(wire.Misunderstood, match="too long"):
        wire.read_document(sealed_memory(b"four"))
