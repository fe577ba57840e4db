"""The native protocol, on a real datagram socket, read by a strict journal."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.control.channel import sealed_memory
from granian_d.systemd.journal import Journal
from tests.journal import FakeJournal, parse

CONSTANT = {"SYSLOG_IDENTIFIER": "granian-d"}


@pytest.fixture(scope="module")
def address():
    directory = tempfile.mkdtemp(prefix="gd")
    yield f"{directory}/journal"
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def journald(address):
    journald = FakeJournal(address)
    yield journald
    journald.close()


@pytest.fixture(scope="module")
def journal(journald):
    journal = Journal({}, sealed_memory, journald.address)
    yield journal
    journal.close()


def test_a_line_goes_as_a_line(journald, journal):
    assert journal.send({"MESSAGE": "Ready", "PRIORITY": "6"})
    assert journald.heard() == [{**CONSTANT, "MESSAGE": "Ready", "PRIORITY": "6"}]


def test_several_lines_go_with_their_length(journald, journal):
    text = "Traceback:\n  line\nMESSAGE=forged\n\n"
    assert journal.send({"MESSAGE": text, "PRIORITY": "3"})
    assert journald.heard() == [{**CONSTANT, "MESSAGE": text, "PRIORITY": "3"}]


@given(st.text(max_size=60), st.text(alphabet="\n\0=a", max_size=20))
def test_whatever_a_value_holds_it_stays_one_value(journald, journal, message, other):
    assert journal.send({"MESSAGE": message, "OTHER": other})
    (entry,) = journald.entries()
    assert entry["MESSAGE"] == message.encode("utf-8", "backslashreplace")
    assert entry["OTHER"] == other.encode()
    assert len(entry) == 3


def test_bytes_that_are_no_text_are_escaped(journald, journal):
    assert journal.send({"MESSAGE": "a\udcffb"})
    assert journald.heard()[0]["MESSAGE"] == "a\\udcffb"


def test_what_no_datagram_holds_goes_in_a_sealed_file(journald, journal):
    text = "first\n" + "x" * (1 << 22)
    before, sealed = os.listdir("/proc/self/fd"), journald.sealed
    assert journal.send({"MESSAGE": text, "PRIORITY": "3"})
    assert journald.heard() == [{**CONSTANT, "MESSAGE": text, "PRIORITY": "3"}]
    assert journald.sealed == sealed + 1
    assert os.listdir("/proc/self/fd") == before


def test_this_start_of_the_service_is_named(journald):
    journal = Journal({"INVOCATION_ID": "ab" * 16}, sealed_memory, journald.address)
    assert journal.send({"MESSAGE": "x"})
    assert journald.heard()[0]["INVOCATION_ID"] == "ab" * 16
    journal.close()


class TestNobodyReads:
    def test_a_journal_that_does_not_read_holds_nobody_up(self, journald, journal):
        taken = 0
        while journal.send({"MESSAGE": str(taken)}):
            taken += 1
        assert [entry["MESSAGE"] for entry in journald.heard()] == list(map(str, range(taken)))
        assert taken > 0
        assert journal.send({"MESSAGE": "again"})
        assert [entry["MESSAGE"] for entry in journald.heard()] == ["again"]

    def test_a_large_entry_is_refused_like_a_small_one(self, journald, journal):
        while journal.send({"MESSAGE": "x"}):
            pass
        before = os.listdir("/proc/self/fd")
        assert not journal.send({"MESSAGE": "x" * (1 << 22)})
        assert os.listdir("/proc/self/fd") == before
        assert all(entry["MESSAGE"] == "x" for entry in journald.heard())

    def test_no_socket_and_then_one(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        journal = Journal({}, sealed_memory, "journal")
        assert not journal.send({"MESSAGE": "x"})
        journald = FakeJournal("journal")
        assert journal.send({"MESSAGE": "y"})
        journald.close()
        assert not journal.send({"MESSAGE": "z"})
        os.unlink("journal")
        journald = FakeJournal("journal")  # as after a restart of journald
        assert journal.send({"MESSAGE": "w"})
        assert journald.heard() == [{**CONSTANT, "MESSAGE": "w"}]
        journald.close()
        journal.close()

    def test_no_memory_for_a_large_entry(self, journald):
        def seal(_: bytes) -> int:
            raise OSError(24, "Too many open files")

        journal = Journal({}, seal, journald.address)
        assert not journal.send({"MESSAGE": "x" * (1 << 22)})
        assert journald.heard() == []
        journal.close()

    def test_a_sandbox_without_unix_sockets(self, journald, monkeypatch):
        def refuse(*_):
            raise OSError(97, "Address family not supported by protocol")

        monkeypatch.setattr(socket, "socket", refuse)
        journal = Journal({}, sealed_memory, journald.address)
        assert not journal.send({"MESSAGE": "x"})
        journal.close()

    def test_after_its_end(self, journald):
        journal = Journal({}, sealed_memory, journald.address)
        journal.close()
        assert not journal.send({"MESSAGE": "x"})


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"A",
        b"A=1",
        b"a=1\n",
        b"_A=1\n",
        b"A=1\nA=2\n",
        b"=1\n",
        b"A\n\1\0\0\0\0\0\0\0",
        b"A\n\1\0",
    ],
)
def test_the_journal_of_these_tests_is_strict(octets):
    with pytest.raises((AssertionError, ValueError)):
        parse(octets)
