"""The cases themselves: that they are all there, and that a wrong server fails each of them."""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest

from tests.conformance.h2 import __main__ as command
from tests.conformance.h2 import frames
from tests.conformance.h2.case import Verdict, run
from tests.conformance.h2.catalogue import CASES
from tests.conformance.h2.client import Target
from tests.conformance.h2.frames import Kind, Setting

README = Path(__file__).parent / "h2" / "README.md"

OK_HEAD = b"\x88"  # ":status: 200", RFC 7541 A
CONTENT = b"x" * 16
SETTINGS = frames.settings((Setting.MAX_CONCURRENT_STREAMS, 10))
DEADLINE_S = 2.0  # of a case that has to wait for what does not come
AT_ONCE = 32  # such cases

# The end of the connection and going on are both right here; silence is not.
CHOICE = {"generic/2/4", "generic/3.4/1", "generic/3.8/1", "http2/7/1", "http2/7/2"}
CHOICE |= {case.id for case in CASES if case.since_9113}
ANSWERED = {"http2/5.1/11", "http2/5.1/12"}  # and before that choice, a request is
FIRST_WORDS = {"generic/1/1", "http2/3.5/1"}  # which all of these servers get right


class Wrong(socketserver.BaseRequestHandler):
    """A server that is wrong after the handshake, in the way that its subclass says."""

    def handle(self):
        self.buffer = bytearray()
        with contextlib.suppress(ConnectionError):
            while len(self.buffer) < len(frames.PREFACE):
                self.more()
            del self.buffer[: len(frames.PREFACE)]
            self.request.sendall(SETTINGS + frames.settings_ack())
            while True:
                while (frame := frames.take(self.buffer)) is None:
                    self.more()
                if frame.kind != Kind.SETTINGS or not self.handshakes:
                    self.hear(frame)
                elif frame.acknowledges:
                    self.handshakes = False

    handshakes = True

    def more(self):
        octets = self.request.recv(65536)
        if not octets:
            raise ConnectionResetError
        self.buffer += octets


class Tolerant(Wrong):
    """Takes everything for good, and knows no windows."""

    def hear(self, frame):
        if frame.kind == Kind.SETTINGS and not frame.acknowledges:
            self.request.sendall(frames.settings_ack())
        elif frame.kind == Kind.PING:
            self.request.sendall(frames.ping(frame.payload, ack=True))
        elif frame.ends_stream:
            head = frames.headers(frame.stream, OK_HEAD, end=False)
            self.request.sendall(head + frames.data(frame.stream, CONTENT))


class Touchy(Wrong):
    """Takes everything for an error."""

    def hear(self, _):
        raise ConnectionAbortedError


class Silent(Tolerant):
    """Answers requests, and nothing else."""

    def hear(self, frame):
        if frame.kind != Kind.PING:
            super().hear(frame)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 2 * AT_ONCE


@contextlib.contextmanager
def serving(handler):
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def verdicts(handler, cases=CASES):
    """What becomes of the cases, by id."""
    with serving(handler) as port:
        target = Target("127.0.0.1", port, deadline_s=DEADLINE_S)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return {
                result.case.id: result for result in pool.map(partial(run, target=target), cases)
            }


def test_the_list_is_whole():
    assert len(CASES) == 147
    for section, cases in groupby(CASES, lambda case: case.id.rpartition("/")[0]):
        numbers = [int(case.id.rpartition("/")[2]) for case in cases]
        assert numbers == list(range(1, len(numbers) + 1)), section
    assert all(case.title and case.section for case in CASES)


def test_a_wrong_server_fails_every_case():
    tolerant, touchy = verdicts(Tolerant), verdicts(Touchy)
    unfailed = {
        case.id
        for case in CASES
        if Verdict.FAILED not in (tolerant[case.id].verdict, touchy[case.id].verdict)
    }
    assert unfailed == CHOICE - ANSWERED | FIRST_WORDS


def test_silence_fails_what_leaves_a_choice():
    cases = [case for case in CASES if case.id in CHOICE]
    assert {result.verdict for result in verdicts(Silent, cases).values()} == {Verdict.FAILED}


def test_the_page_lists_what_rfc_9113_changed():
    page = README.read_text(encoding="utf-8")
    written = set(re.findall(r"^\| `(\S+)` \| RFC 9113", page, re.MULTILINE))
    assert written == {case.id for case in CASES if case.since_9113}


@pytest.mark.parametrize(("only", "status"), [("http2/6.7/1", 0), ("http2/6.7/3", 1), ("h3", 2)])
def test_the_command_says_with_its_status_what_became_of_the_cases(capsys, only, status):
    with serving(Tolerant) as port:
        arguments = ["127.0.0.1", str(port), "--only", only, "--deadline", str(DEADLINE_S)]
        assert command.main(arguments) == status
    rows = capsys.readouterr().out.splitlines()
    assert rows[-1].endswith(f"{status % 2} FAILED")
