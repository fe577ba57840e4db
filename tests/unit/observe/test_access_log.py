"""The access log: every atom, every escape, every fault of a format."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.http.exchange import Exchange
from granian_d.http.message import Peer, RequestHead
from granian_d.observe.access_log import ATOMS, AccessLog, check_format
from granian_d.observe.log import LogFile
from granian_d.settings.model import Settings


def exchange(
    raw_path=b"/a",
    query=b"",
    fields=(),
    method="GET",
    client=("192.0.2.1", 5),
    status=200,
    sent_bytes=0,
    version="1.1",
):
    head = RequestHead(method, raw_path, query, b"h:1", version, list(fields), 0, False)
    done = Exchange(head, Peer(client, ("192.0.2.2", 80)), None)
    done.status = status
    done.sent_bytes = sent_bytes
    return done


def _at_once(flush):
    flush()


def line(fmt, done=None):
    who = {"worker": 2, "generation": 7}
    text = AccessLog(fmt, LogFile("", -1), _at_once, who).line(done or exchange())
    assert text.endswith("\n")
    return text[:-1]


@pytest.mark.parametrize(
    ("fmt", "facts", "text"),
    [
        ("%(addr)s", {}, "192.0.2.1"),
        ("%(addr)s", {"client": None}, ""),
        ("%(port)d", {}, "5"),
        ("%(port)d", {"client": None}, "0"),
        ("%(target)s", {"raw_path": b"/a", "query": b"b=c"}, "/a?b=c"),
        ("%(target)s", {"raw_path": b"/a"}, "/a"),
        ("%(authority)s", {}, "h:1"),
        ("%(worker)s %(generation)03d", {}, "2 007"),
        ("%(request_id)s", {"fields": [(b"x-request-id", b"a-1")]}, "a-1"),
        ("%(status)d", {"status": 404}, "404"),
        ("%(status)s", {"status": 0}, "0"),
        ("%(path)s", {"raw_path": b"/%20a"}, "/%20a"),
        ("%(query_string)s", {"query": b"a=1&b"}, "a=1&b"),
        ("%(method)s", {"method": "POST"}, "POST"),
        ("%(scheme)s", {}, "http"),
        ("%(protocol)s", {"version": "1.0"}, "HTTP/1.0"),
        ("%(size)d", {"sent_bytes": 1 << 40}, str(1 << 40)),
        ("%(header{User-Agent})s", {"fields": [(b"user-agent", b"curl/8")]}, "curl/8"),
        ("%(header{x})s", {"fields": [(b"x", b"1"), (b"x", b"2")]}, "1"),
        ("%(header{x})s", {}, "-"),
        ("100%% %(status)05d|%(method)-5s|", {}, "100% 00200|GET  |"),
        ("no atom", {}, "no atom"),
        ("", {}, ""),
    ],
)
def test_atoms(fmt, facts, text):
    check_format(fmt)
    assert line(fmt, exchange(**facts)) == text


def test_time_is_local_time():
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}", line("%(time)s"))


def test_the_forms_of_time_are_of_one_moment_the_beginning():
    done = exchange()
    done.started_ns -= 3_600_000_000_000
    text = line("%(time)s|%(time_iso)s|%(time_clf)s", done)
    plain, iso, clf = text.split("|")
    moment = datetime.strptime(plain, "%Y-%m-%d %H:%M:%S %z")
    assert 3590 < time.time() - moment.timestamp() < 3660
    assert datetime.fromisoformat(iso).replace(microsecond=0) == moment
    assert re.search(r"\.\d{3}[+-]\d\d:\d\d$", iso)
    assert datetime.strptime(clf, "%d/%b/%Y:%H:%M:%S %z") == moment


def test_the_text_of_a_time_is_made_anew_for_each_second_and_no_oftener():
    """Of two requests that end together one may have begun in an earlier second."""
    done, older = exchange(), exchange()
    older.started_ns -= 1_000_000_000
    both = [line("%(time)s", one) for one in (done, older, done)]
    first, second = (datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z") for text in both[:2])
    assert first - second == timedelta(seconds=1)
    assert both[2] == both[0]


def test_units_of_the_duration():
    done = exchange()
    done.started_ns -= 5_000_000_000
    milli, micro, whole = line("%(dt_ms).3f %(dt_us)d %(dt_s).6f", done).split()
    assert 5.0 <= float(milli) / 1e3 <= int(micro) / 1e6 <= float(whole)


def test_the_process_is_told():  # its number is another one in each process that collects tests
    assert line("%(pid)d", exchange()) == str(os.getpid())


@pytest.mark.parametrize("brought", [b"", b"a b", b'"', b"x" * 129, b"\xff"])
def test_an_id_that_could_do_harm_gives_way_to_a_made_one(brought):
    done = exchange(fields=[(b"a", b"1"), (b"x-request-id", brought)])
    made = line("%(request_id)s", done)
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert done.head.fields == [(b"a", b"1"), (b"x-request-id", made.encode())]
    assert line("%(request_id)s", done) == made
    assert line("%(request_id)s") != made


def test_duration_is_counted_from_the_head():
    done = exchange()
    older = exchange()
    older.started_ns = done.started_ns - 5_000_000_000
    assert float(line("%(dt_ms).3f", older)) - float(line("%(dt_ms).3f", done)) > 4000


def test_every_atom_that_is_documented_can_be_used():
    for atom in ATOMS:
        name = atom.replace("NAME", "Accept")
        check_format(f"%({name})s")
        line(f"%({name})s")


def test_the_default_format_is_a_format():
    fmt = Settings.model_fields["access_log"].annotation.model_fields["fmt"].default
    check_format(fmt)
    assert '"GET /a HTTP/1.1" 200' in line(fmt)


# --- what a peer may not do to a log ------------------------------------------------------------

SAFE = re.compile(r"[\x20\x21\x23-\x7e]*")  # printable ASCII without the quote


def unescape(text: str) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode("ascii"))


@given(st.binary())
def test_no_byte_of_a_peer_gets_out_raw_and_none_is_lost(value):
    done = exchange(raw_path=value, query=value, fields=[(b"x", value)])
    for atom in ("path", "query_string", "header{X}"):
        text = line(f"%({atom})s", done)
        assert SAFE.fullmatch(text)
        assert unescape(text) == value


@pytest.mark.parametrize(
    "byte", [b"\n", b"\r", b'"', b"\\", b"\x1b", b"\x7f", b"\x9b", b"\xff", b"\0"]
)
def test_the_dangerous_ones_by_name(byte):
    assert line('"%(path)s"', exchange(raw_path=b"/" + byte)) == f'"/\\x{byte[0]:02x}"'


def test_a_percent_of_a_peer_is_no_conversion():
    assert line("%(path)s", exchange(raw_path=b"/%s%(x)d%%")) == "/%s%(x)d%%"


# --- faults of a format --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fmt", "says"),
    [
        ("%(stauts)d", "no atom is called 'stauts'; did you mean status?"),
        ("%(zzz)d", "no atom is called 'zzz'; there are addr, port"),
        ("%(header)s", "no atom is called 'header'"),
        ("%(xheader{a})s", "no atom is called 'xheader{a}'"),
        ("50% off", "'% off' is not of the form %(atom)s, nor %%"),
        ("%s", "'%s' is not of the form %(atom)s, nor %%"),
        ("%(path)", "'%(path)' is not of the form"),
        ("%(path)z", "'%(path)z' is not of the form"),
        ("%(path)*d", "'%(path)*d' is not of the form"),
        ("%(path)s %", "'%' is not of the form"),
        ("%(path)d", "not a format for these atoms"),
        ("%(addr).2f", "not a format for these atoms"),
    ],
)
def test_faults_are_named(fmt, says):
    with pytest.raises(ValueError) as caught:
        check_format(fmt)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


FRAGMENTS = st.sampled_from(
    [
        "%",
        "%%",
        "(",
        ")",
        "%(path)s",
        "%(status)d",
        "%(size)x",
        "%(dt_ms).3f",
        "%(header{a})s",
        "{",
        "s",
        " ",
    ]
)


@given(st.lists(FRAGMENTS, max_size=6).map("".join))
def test_what_passes_the_check_never_fails_on_a_request(fmt):
    try:
        check_format(fmt)
    except ValueError:
        return
    for done in (exchange(), exchange(client=None, status=0, raw_path=b"")):
        line(fmt, done)


def test_the_lines_of_a_turn_are_written_at_once(tmp_path):
    path, turns = tmp_path / "access.log", []
    file = LogFile(str(path), -1)
    log = AccessLog("%(path)s", file, turns.append)
    for number in range(3):
        log.write(exchange(raw_path=b"/%d" % number))
    assert path.read_text() == ""
    (flush,) = turns
    flush()
    log.write(exchange(raw_path=b"/3"))
    assert path.read_text() == "/0\n/1\n/2\n"
    assert len(turns) == 2
    assert not log.wants_ids
    log.flush()
    flush()  # with nothing to write
    file.close()
    assert path.read_text() == "/0\n/1\n/2\n/3\n"


def test_a_pipe_is_given_no_more_than_surely_fits():
    """A write beyond PIPE_BUF may block, and hold up the loop with it."""
    reading, writing = os.pipe()
    file = LogFile("", writing)
    lines = [b"%04d" % number + b"x" * 995 + b"\n" for number in range(100)]
    file.write_lines(lines)  # more than a pipe holds: the rest is lost, nothing blocks
    os.set_blocking(reading, False)
    got = os.read(reading, 1 << 20).splitlines(keepends=True)
    assert 60 <= len(got) < 100
    assert got == lines[: len(got)]
    file.write(b"after\n")
    assert os.read(reading, 1 << 20) == (
        b"granian-d: %d log lines were lost here\nafter\n" % (100 - len(got))
    )
    os.close(reading)
    os.close(writing)


def test_lines_are_written_whole(tmp_path):
    file = LogFile(str(tmp_path / "access.log"), -1)
    log = AccessLog("%(path)s", file, _at_once)
    log.write(exchange(raw_path=b"/1"))
    log.write(exchange(raw_path=b"/2"))
    file.close()
    assert (tmp_path / "access.log").read_text() == "/1\n/2\n"
