"""Listeners over any sequence of plans: what stays is the very same socket.

The model keeps its own books. A plan is opened, then either committed (retain its keys) or given
up (retain those of the last commit), as the master does with a reload.
"""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.errors import ListenError
from granian_d.supervisor.listeners import Listeners
from granian_d.systemd.activation import InheritedSocket
from tests.unit.plan import specimens

NAMES = ("tcp4", "tcp6", "unix-a", "unix-b", "abstract", "systemd", "busy")

reloads = st.lists(
    st.tuples(st.sets(st.sampled_from(NAMES)).map(sorted), st.booleans()), max_size=6
)


def plans_in(directory: str, busy: socket.socket) -> dict:
    return {
        "tcp4": specimens.tcp(),
        "tcp6": specimens.tcp("::1"),
        "unix-a": specimens.unix(f"{directory}/a"),
        "unix-b": specimens.unix(f"{directory}/b"),
        "abstract": specimens.unix(f"@granian-d-test-{os.getpid()}-{directory[-6:]}"),
        "systemd": specimens.systemd("web"),
        "busy": specimens.tcp(port=busy.getsockname()[1]),  # cannot be had
    }


def inodes(listeners: Listeners, plans) -> dict[str, int]:
    return {plan.key: os.fstat(listeners.sockets([plan])[0].fileno()).st_ino for plan in plans}


@given(reloads)
def test_a_key_that_stays_keeps_its_socket_whatever_comes_and_goes(history):
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="gd"))
        busy = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        given_to_us = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        every = plans_in(directory, busy)
        listeners = Listeners([InheritedSocket("web", given_to_us.fileno())])
        stack.callback(listeners.retain, ())
        committed: list = []
        for names, good in history:
            plans = [every[name] for name in names]
            before = inodes(listeners, committed)
            if every["busy"] in plans:
                with pytest.raises(ListenError):
                    listeners.open(plans)
                assert_held(listeners, committed, every)
                assert inodes(listeners, committed) == before
                continue
            new = [plan for plan in plans if plan not in committed]
            assert set(listeners.open(plans)) == {plan.key for plan in new}
            assert_held(listeners, [*committed, *new], every)
            committed = plans if good else committed
            listeners.retain(plan.key for plan in committed)
            assert_held(listeners, committed, every)
            after = inodes(listeners, committed)
            assert {key: after[key] for key in before if key in after} == {
                key: before[key] for key in before if key in after
            }
        listeners.retain(())
        assert_held(listeners, [], every)
        assert given_to_us.fileno() >= 0
        assert given_to_us.getsockname()


def assert_held(listeners: Listeners, held: list, every: dict) -> None:
    """These are open and reachable; of the others nothing is left, not even a name."""
    for plan in every.values():
        if plan not in held:
            with pytest.raises(KeyError):
                listeners.sockets([plan])
            assert not plan.path or plan.path.startswith("@") or not os.path.exists(plan.path)
            continue
        [sock] = listeners.sockets([plan])
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        with socket.socket(sock.family) as peer:
            peer.connect(plan.path if plan.path[:1] == "/" else sock.getsockname())
        sock.accept()[0].close()
