"""The asking end, against a server of the test's own."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading

import pytest

from granian_d.control import wire
from granian_d.control.channel import sealed_memory
from granian_d.control.client import Told, ask
from granian_d.errors import ControlTimeout, DaemonUnreachable

PATIENCE_S = 20.0


@pytest.fixture
def path():
    directory = tempfile.mkdtemp(prefix="gd")  # sun_path is short, tmp_path is long
    yield f"{directory}/control.sock"
    shutil.rmtree(directory)


@pytest.fixture
def answering(path):
    """Serve one caller with a function of its socket; what it was asked is kept."""
    threads = []

    def serve(answer):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        listener.settimeout(PATIENCE_S)
        asked = []

        def run():
            with listener, listener.accept()[0] as sock:
                sock.settimeout(PATIENCE_S)
                asked.append(sock.recv(65536))
                answer(sock)

        threads.append(threading.Thread(target=run))
        threads[0].start()
        return asked

    yield serve
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_answers_come_in_their_order_until_the_last(path, answering):
    answers = [
        wire.Phase("reload_began", "info", "Reloading"),
        wire.Phase("reload_rolling", "info", "Rolling"),
        wire.Done(78, "line 3"),
        wire.Phase("late", "info", "nobody hears it"),
    ]
    asked = answering(lambda sock: sock.sendall(b"".join(map(wire.encode, answers))))
    told = list(ask(path, wire.Reload(wait=True), PATIENCE_S))
    assert told == [Told(answer, "") for answer in answers[:3]]
    assert wire.decode_request(asked[0]) == wire.Reload(wait=True)


def test_answers_may_come_in_parts(path, answering):
    line = wire.encode(wire.Done(0, "x" * 300))

    def drip(sock):
        for octet in line:
            sock.sendall(bytes([octet]))

    answering(drip)
    assert list(ask(path, wire.Stop(), PATIENCE_S)) == [Told(wire.Done(0, "x" * 300), "")]


def test_each_document_has_its_own_text(path, answering):
    def send(sock):
        for name in ("one", "two", "three"):
            fd = sealed_memory(f"stacks of {name}".encode())
            socket.send_fds(sock, [wire.encode(wire.Document(name))], [fd])
            os.close(fd)
        sock.sendall(wire.encode(wire.Done(0, "")))

    answering(send)
    told = list(ask(path, wire.Stacks(0), PATIENCE_S))
    assert [(t.answer.title, t.text) for t in told[:3]] == [
        ("one", "stacks of one"),
        ("two", "stacks of two"),
        ("three", "stacks of three"),
    ]


def fifo(sock):
    reading, writing = os.pipe()
    socket.send_fds(sock, [wire.encode(wire.Document("x"))], [reading])
    os.close(reading)
    os.close(writing)


WRONG = {
    "it says nothing": (lambda sock: None, "went away"),
    "it stops in the middle": (lambda sock: sock.sendall(b'{"v": 1'), "went away"),
    "it speaks something else": (lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\n"), "no JSON"),
    "it speaks another version": (
        lambda sock: sock.sendall(b'{"v": 2, "kind": "done"}\n'),
        "version 1",
    ),
    "it does not end a line": (
        lambda sock: sock.sendall(b"x" * (wire.ANSWER_BYTES * 2)),
        "too long",
    ),
    "a document without a text": (
        lambda sock: sock.sendall(wire.encode(wire.Document("x"))),
        "without its text",
    ),
    "a document that is a FIFO": (fifo, "not sealed"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("answer", "why"), WRONG.values(), ids=WRONG)
def test_what_is_no_answer_is_told_in_one_line(path, answering, answer, why):
    answering(answer)
    with pytest.raises(DaemonUnreachable, match=why) as caught:
        list(ask(path, wire.Status(), PATIENCE_S))
    assert caught.value.exit_code == 69
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nobody_is_there(path):
    with pytest.raises(DaemonUnreachable, match="No such file"):
        list(ask(path, wire.Status(), PATIENCE_S))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
        with pytest.raises(DaemonUnreachable, match="refused"):
            list(ask(path, wire.Status(), PATIENCE_S))


def test_a_path_that_no_socket_can_have():
    with pytest.raises(DaemonUnreachable, match="too long"):
        list(ask("/tmp/" + "x" * 200, wire.Status(), PATIENCE_S))


def test_who_does_not_answer_in_time(path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        with pytest.raises(ControlTimeout, match=r"within 0\.05 s") as caught:
            list(ask(path, wire.Reload(wait=True), 0.05))
    assert caught.value.exit_code == 75
