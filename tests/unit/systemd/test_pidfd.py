"""LISTEN_PIDFDID: sockets are ours only if process id and pidfd id are."""

from __future__ import annotations

import os
import sys

import pytest

from granian_d.errors import ListenError
from granian_d.systemd import pidfd
from granian_d.systemd.activation import take_sockets

PID = os.getpid()


def passed(pidfdid: str) -> dict[str, str]:
    """Were it believed, the names that are too many would be an error."""
    return {
        "LISTEN_FDS": "1",
        "LISTEN_PID": str(PID),
        "LISTEN_PIDFDID": pidfdid,
        "LISTEN_FDNAMES": "a:b",
    }


@pytest.fixture
def own():
    own = pidfd.own_id()
    if own is None:
        pytest.skip("this kernel tells no ids of pidfds (before Linux 6.9)")
    return own


def test_another_process_had_our_process_id(own):
    environ = passed(str(own + 1))
    assert take_sockets(environ, PID) == ()
    assert environ == {}


def test_it_is_us(own):
    with pytest.raises(ListenError, match="names 2 sockets"):
        take_sockets(passed(str(own)), PID)


def test_it_is_the_id_of_the_process(own):
    """The same as often as it is asked, and another one in another process."""
    assert pidfd.own_id() == own
    child = os.fork()
    if child == 0:
        os._exit(pidfd.own_id() == own)
    assert os.waitpid(child, 0)[1] == 0


def test_a_kernel_without_ids(monkeypatch):
    """There pidfds are of the anonymous device; the process id alone must do, as for systemd."""
    fd = os.eventfd(0)
    anonymous = os.fstat(fd)
    os.close(fd)
    monkeypatch.setattr(os, "fstat", lambda _: anonymous)
    assert pidfd.own_id() is None
    assert pidfd.names_me(7)


def test_inode_numbers_of_32_bits_are_not_compared(monkeypatch):
    monkeypatch.setattr(sys, "maxsize", (1 << 31) - 1)
    assert pidfd.own_id() is None


@pytest.mark.parametrize("pidfdid", ["x", "-1", "1.0", "\u0661"])
def test_what_is_no_number_is_an_error(pidfdid):
    with pytest.raises(ListenError, match="LISTEN_PIDFDID"):
        take_sockets(passed(pidfdid), PID)
