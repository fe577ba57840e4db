"""What a reload may find when somebody else has been at the sockets. A reload may fail for years."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import ExitStack

import pytest

from granian_d.errors import ListenError
from granian_d.supervisor.listeners import Listeners
from tests.unit.plan import specimens
from tests.unit.supervisor.processes import must_not_hang, open_fds


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def listeners(stack):
    made = Listeners(())
    stack.callback(made.retain, ())
    return made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.sock"


def test_a_live_socket_whose_queue_is_full_is_not_waited_for(stack, listeners, path):
    """The master waits nowhere but in its select: a blocking connect would be the end of it."""
    living = stack.enter_context(socket.socket(socket.AF_UNIX))
    living.bind(str(path))
    living.listen(0)
    with must_not_hang(1):
        while True:
            peer = stack.enter_context(socket.socket(socket.AF_UNIX))
            peer.setblocking(False)
            if peer.connect_ex(str(path)):
                break
        with pytest.raises(ListenError, match=f"cannot listen on unix:{path}: "):
            listeners.open([specimens.unix(path)])
    assert path.is_socket()


def test_somebody_elses_file_is_not_given_our_mode(listeners, path):
    listeners.open([specimens.unix(path)])
    path.unlink()
    path.write_text("somebody else's")
    path.chmod(0o600)
    with pytest.raises(ListenError, match=f"cannot listen on unix:{path}: "):
        listeners.open([specimens.unix(path, mode=0o666)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [None, 0o660], ids=["as-it-is", "0660"])
def test_a_name_that_was_removed_is_bound_anew(listeners, path, mode):
    """Nobody can reach the old socket any more, so a reload makes the address good again."""
    plan = specimens.unix(path, mode=mode)
    listeners.open([plan])
    path.unlink()
    listeners.open([plan])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listeners.retain(())
    assert not path.exists()


@pytest.mark.parametrize("what", ["file", "deaf", "missing", "elsewhere", "unnamed", "occupied"])
def test_an_address_that_cannot_be_had_costs_no_descriptor(stack, listeners, path, what):
    path.write_text("no socket")
    plan = {
        "file": lambda: specimens.fd(os.dup(stack.enter_context(path.open()).fileno())),
        "deaf": lambda: specimens.fd(stack.enter_context(socket.socket()).fileno()),
        "missing": lambda: specimens.unix(path.parent / "missing" / "x"),
        "elsewhere": lambda: specimens.tcp("192.0.2.1"),
        "unnamed": lambda: specimens.systemd("x"),
        "occupied": lambda: specimens.unix(path),
    }[what]()
    before = open_fds()
    with pytest.raises(ListenError):
        listeners.open([plan])
    assert open_fds() == before
    if what == "file":
        os.close(plan.fd)
