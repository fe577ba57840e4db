"""The client itself: what is right passes, and no fault of a server gets by."""

from __future__ import annotations

import zlib

import pytest

from tests.conformance.scripted import Hear, Reset, Say, ScriptedServer, frame
from tests.conformance.websocket.__main__ import main
from tests.conformance.websocket.catalogue import choose, every
from tests.conformance.websocket.client import Target
from tests.conformance.websocket.conversation import run
from tests.conformance.websocket.deflate import Agreement, agree
from tests.conformance.websocket.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.conformance.websocket.verdict import Report, Verdict

OK, FAILED, NON_STRICT = Verdict.OK, Verdict.FAILED, Verdict.NON_STRICT
WRONG_CODE, UNCLEAN, BY_CLIENT = Verdict.WRONG_CODE, Verdict.UNCLEAN, Verdict.FAILED_BY_CLIENT
INFORMATIONAL, UNIMPLEMENTED = Verdict.INFORMATIONAL, Verdict.UNIMPLEMENTED

HELLO = b"Hello, world!"
STARS = b"*" * 125


def closing(code: int = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def echoing(*octets: bytes) -> tuple:
    """Hears one frame, says these, and closes as it should when it is asked to."""
    return (Hear(1), *map(Say, octets), Hear(1), Say(closing()))


VAIN_PATIENCE_S = 1.0

# A case, what the server does in it, and the two verdicts.
SCRIPTS = {
    "a good echo": ("1.1.2", echoing(frame(TEXT, STARS)), OK, OK),
    "echo in fragments": (
        "1.1.2",
        echoing(frame(TEXT, b"*" * 100, 0), frame(CONTINUATION, b"*" * 25)),
        OK,
        OK,
    ),
    "Ping before the echo": ("1.1.2", echoing(frame(PING, b"?"), frame(TEXT, STARS)), OK, OK),
    "echo of another kind": ("1.1.2", echoing(frame(BINARY, STARS)), FAILED, OK),
    "echo of something else": ("1.1.2", echoing(frame(TEXT, STARS[1:])), FAILED, OK),
    "two echoes": ("1.1.2", echoing(frame(TEXT, STARS) * 2), FAILED, OK),
    "Pong for nothing": ("2.7", (Hear(2), Say(frame(PONG) + closing())), FAILED, OK),
    "Close without a code": ("7.3.1", (Hear(1), Say(frame(CLOSE))), OK, OK),
    "end without a Close": ("1.1.1", (Hear(1), Say(frame(TEXT)), Hear(1)), OK, UNCLEAN),
    "closing before us": ("1.1.1", (Hear(1), Say(frame(TEXT) + closing()), Hear(1)), OK, FAILED),
    "wrong code": ("1.1.1", (*echoing(frame(TEXT))[:-1], Say(closing(1001))), OK, WRONG_CODE),
    "wrong code where it counts": ("7.7.3", (Hear(1), Say(closing(1001))), FAILED, WRONG_CODE),
    "echoed code": ("7.7.3", (Hear(1), Say(closing(1002))), OK, OK),
    "RST for a bad Close": ("7.9.1", (Hear(1), Reset()), OK, OK),
    "bad Close taken for good": ("7.9.1", (Hear(1), Say(closing())), FAILED, WRONG_CODE),
    "bad frame refused": ("3.1", (Hear(1), Say(closing(1002)), Hear(1)), OK, OK),
    "bad frame: FIN": ("3.1", (Hear(1),), OK, OK),
    "bad frame: RST": ("3.1", (Hear(1), Reset()), OK, OK),
    "bad frame: Close, then RST": ("3.1", (Hear(1), Say(closing(1002)), Reset()), OK, OK),
    "bad frame: wrong code": ("3.1", (Hear(1), Say(closing(1007)), Hear(1)), OK, WRONG_CODE),
    "text before the bad frame": (
        "3.2",
        (Hear(3), Say(frame(TEXT, HELLO) + closing(1002)), Hear(1)),
        OK,
        OK,
    ),
    "no text before the bad frame": ("3.2", (Hear(3), Say(closing(1002)), Hear(1)), NON_STRICT, OK),
    "Ping behind the bad frame": (
        "3.2",
        (Hear(3), Say(frame(TEXT, HELLO) + frame(PONG) + closing(1002)), Hear(1)),
        FAILED,
        OK,
    ),
    "bad text refused": ("6.3.1", (Hear(1), Say(closing(1007)), Hear(1)), OK, OK),
    "bad text refused at once": ("6.4.1", (Hear(2), Say(closing(1007)), Hear(1)), OK, OK),
    "undefined code answered": ("7.13.1", (Hear(1), Say(closing(1002))), *[INFORMATIONAL] * 2),
    "no compression": ("12.1.1", (Hear(1), Say(closing())), UNIMPLEMENTED, OK),
}

# Those in which the client waits for something that never comes.
IN_VAIN = {
    "no echo": ("1.1.2", (Hear(2), Say(closing())), FAILED, OK),
    "no echo and no Close": ("1.1.2", (Hear(),), FAILED, UNCLEAN),
    "Close and no end": ("1.1.1", (*echoing(frame(TEXT)), Hear()), OK, UNCLEAN),
    "bad frame: Close and no end": (
        "3.1",
        (Hear(1), Say(closing(1002)), Hear()),
        OK,
        BY_CLIENT,
    ),
    "bad frame echoed": ("3.1", (Hear(1), Say(frame(TEXT, HELLO)), Hear()), FAILED, FAILED),
    "bad frame passed over": ("3.1", (Hear(),), OK, FAILED),
    "first Ping answered late": (
        "5.19",
        (Hear(4), Say(closing())),
        FAILED,
        OK,
    ),
    "bad text passed over": ("6.3.1", (Hear(2), Say(closing())), FAILED, FAILED),
    "bad text refused at last": ("6.4.1", (Hear(3), Say(closing(1007)), Hear(1)), NON_STRICT, OK),
    "undefined code ignored": ("7.13.1", (Hear(),), FAILED, FAILED),
}


# Frames that no server may send, and what is said about them.
FAULTS = {
    "masked frame": ("1.1.1", echoing(b"\x81\x80abcd"), "a masked frame"),
    "RSV without a meaning": ("1.1.1", echoing(frame(TEXT, b"", 0xC0)), "RSV bits 100"),
    "reserved opcode": ("1.1.1", echoing(frame(3)), "reserved opcode 3"),
    "long length of a short frame": (
        "1.1.1",
        echoing(b"\x81\x7e\x00\x00"),
        "a length of 0 in 2 octets",
    ),
    "fragment of a Ping": ("1.1.1", echoing(frame(PING, b"", 0)), "a fragment of a control frame"),
    "Ping of 126 octets": (
        "1.1.1",
        echoing(frame(PING, b"*" * 126)),
        "a control frame of more than 125",
    ),
    "continuation of nothing": ("1.1.1", echoing(frame(CONTINUATION)), "opcode 0 out of turn"),
    "text that is none": ("1.1.1", echoing(frame(TEXT, b"\xff")), "a text that is not UTF-8"),
    "text in a text": ("1.1.1", echoing(frame(TEXT, b"", 0) * 2), "opcode 1 out of turn"),
    "Close of one octet": (
        "7.3.3",
        (Hear(1), Say(frame(CLOSE, b"\x03"))),
        "a Close frame of one octet",
    ),
    "Close with 1005": ("7.3.3", (Hear(1), Say(closing(1005))), "close code 1005"),
    "reason that is no text": (
        "7.3.3",
        (Hear(1), Say(closing(1000, b"\xff"))),
        "a close reason that is not UTF-8",
    ),
    "data behind the Close": (
        "1.1.1",
        (*echoing(frame(TEXT)), Say(frame(TEXT, b"more"))),
        "a data frame behind its Close",
    ),
}


def play(name: str, script, count: int = 1, patience_s: float = 30.0, **server) -> Report:
    (case,) = choose((name,), count)
    with ScriptedServer(script, **server) as served:
        return run(case, Target("127.0.0.1", served.port, patience_s=patience_s))


@pytest.mark.parametrize("what", [*SCRIPTS, *IN_VAIN])
def test_a_server_gets_what_it_deserves(what):
    case, script, behaviour, end = SCRIPTS.get(what) or IN_VAIN[what]
    report = play(case, script, patience_s=VAIN_PATIENCE_S if what in IN_VAIN else 30.0)
    assert (report.behaviour, report.closing) == (behaviour, end), report


@pytest.mark.parametrize("what", FAULTS)
def test_no_fault_of_a_server_gets_by(what):
    case, script, said = FAULTS[what]
    report = play(case, script)
    assert (report.behaviour, report.closing) == (FAILED, FAILED)
    assert report.detail.startswith(f"The server: {said}")


def test_a_wrong_handshake_is_no_handshake():
    report = play("1.1.1", (), accept="bm9uc2Vuc2U=")
    assert not report.passed
    assert "Sec-WebSocket-Accept" in report.detail


def test_a_good_beginning_must_not_be_refused():
    report = play("6.4.1", (Hear(2),), early=closing(1007))
    assert (report.behaviour, report.closing) == (FAILED, OK), report


# --- permessage-deflate ---------------------------------------------------------------------------

BITS = "permessage-deflate; server_max_window_bits={}"
ALONE = "permessage-deflate; server_no_context_takeover"


def deflated(name: str, count: int, bits: int, *, alone: bool = False) -> tuple:
    """The script that echoes all messages of a case, compressed by a server of that kind."""
    (case,) = choose((name,), count)
    script, compressor = [], zlib.compressobj(wbits=-bits)
    for move in case.moves:
        if alone:
            compressor = zlib.compressobj(wbits=-bits)
        data = compressor.compress(move.payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        script += [Hear(1), Say(frame(TEXT, data.removesuffix(b"\0\0\xff\xff"), 0xC0))]
    return (*script, Hear(1), Say(closing()))


def test_compression_is_read_as_agreed():
    assert play("12.1.4", deflated("12.1.4", 3, 15), 3, extensions="permessage-deflate").passed
    assert play("13.3.10", deflated("13.3.10", 2, 9), 2, extensions=BITS.format(9)).passed
    script = deflated("13.2.4", 3, 15, alone=True)
    assert play("13.2.4", script, 3, extensions=ALONE).passed


def test_a_larger_window_than_agreed_is_noticed():
    report = play("13.3.10", deflated("13.3.10", 1, 15), extensions=BITS.format(9))
    assert report.behaviour is FAILED
    assert "can not be read" in report.detail


def test_memory_that_was_to_be_forgotten_is_noticed():
    report = play("13.2.4", deflated("13.2.4", 3, 15), 3, extensions=ALONE)
    assert report.behaviour is FAILED
    assert "can not be read" in report.detail


@pytest.mark.parametrize(
    ("case", "answer"),
    [
        ("1.1.1", "permessage-deflate"),
        ("12.1.1", "permessage-bzip2"),
        ("12.1.1", "permessage-deflate; level=9"),
        ("12.1.1", "permessage-deflate; server_max_window_bits=16"),
        ("12.1.1", "permessage-deflate; client_max_window_bits"),
        ("12.1.1", "permessage-deflate; server_no_context_takeover=1"),
        ("12.1.1", "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"),
        ("12.1.1", "permessage-deflate, permessage-deflate"),
        ("13.2.1", "permessage-deflate"),
        ("13.3.1", "permessage-deflate"),
        ("13.3.1", BITS.format(10)),
        ("13.5.1", BITS.format(9)),
        ("14.1.1", "permessage-deflate; client_max_window_bits=15"),
    ],
)
def test_an_answer_that_fits_no_offer_is_refused(case, answer):
    report = play(case, (Hear(),), extensions=answer)
    assert (report.behaviour, report.closing) == (FAILED, FAILED)
    assert report.detail.startswith("The server:")


def test_what_the_client_offers_for_itself_it_keeps_to():
    (offer,) = choose(("14.2.1",), 1)[0].offers
    assert str(offer) == "permessage-deflate; client_max_window_bits=9"
    assert agree("permessage-deflate", (offer,)) == Agreement(9, 15, False, False)
    answer = "permessage-deflate; client_max_window_bits=12; client_no_context_takeover"
    assert agree(answer, (offer,)) == Agreement(9, 15, True, False)


def test_one_fitting_offer_of_several_is_enough():
    script = deflated("13.7.1", 1, 15)
    assert play("13.7.1", script, extensions="permessage-deflate").passed


# --- the catalogue and the command line ------------------------------------------------------------


def test_the_catalogue_is_the_suites():
    """Numbers of cases as in the public suite, section by section."""
    sections = [case.id.partition(".")[0] for case in every(1)]
    assert {section: sections.count(section) for section in sections} == {
        "1": 16,
        "2": 11,
        "3": 7,
        "4": 10,
        "5": 20,
        "6": 145,
        "7": 37,
        "9": 54,
        "10": 1,
        "12": 90,
        "13": 126,
        "14": 45,  # our own
    }
    assert len({case.id for case in every(1)}) == 517 + 45


def test_cases_are_chosen_by_group():
    assert [case.id for case in choose(("5.1",), 1)] == ["5.1"]
    assert [case.id for case in choose(("6.1.", "7.5"), 1)] == ["6.1.1", "6.1.2", "6.1.3", "7.5.1"]
    with pytest.raises(LookupError):
        choose(("8",), 1)


def test_the_command_line_tells_by_its_status(capsys):
    with ScriptedServer(echoing(frame(TEXT, STARS))) as server:
        assert main(["127.0.0.1", str(server.port), "--only", "1.1.2"]) == 0
    assert "1 of 1 cases passed" in capsys.readouterr().out
    with ScriptedServer(echoing(frame(BINARY, STARS))) as server:
        assert main(["127.0.0.1", str(server.port), "--only", "1.1.2", "--patience", "1"]) == 1
    assert "Expected text of 125 octets, got binary of 125 octets" in capsys.readouterr().out
    assert main(["127.0.0.1", str(server.port), "--only", "1.1.2"]) == 2
    assert main(["127.0.0.1", str(server.port), "--only", "8.1"]) == 2
