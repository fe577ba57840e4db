"""Conditional requests and ranges for files (RFC 9110 13 and 14). Granian: neither of them."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

import pytest

from granian_d.interface.static import dates
from granian_d.interface.static.conditions import asked
from granian_d.interface.static.ranges import MOST, select

from .shelf import BEFORE, MODIFIED, MODIFIED_S, SECOND_NS, Shelf

DATE, EARLIER = MODIFIED.decode(), BEFORE.decode()
LATER = "Wed, 15 Nov 2023 00:00:00 GMT"
CONTENT = bytes(range(100))


@pytest.fixture
def shelf(tmp_path):
    shelf = Shelf(tmp_path, expires_s=60.0)
    shelf.put("a.bin", CONTENT)
    return shelf


def etag(shelf):
    return shelf.ask("/static/a.bin")["etag"].decode()


def statuses(shelf, tag, **fields):
    """The status for fields in which TAG is the tag of the file, by GET and HEAD alike."""
    given = {name: value.replace("TAG", tag) for name, value in fields.items()}
    got = {shelf.ask("/static/a.bin", method, **given).status for method in ("GET", "HEAD")}
    (status,) = got
    return status


# RFC 9110 13.2.2, one row a path through it.
PRECEDENCE = [
    ({"if_none_match": "TAG"}, 304),
    ({"if_none_match": "W/TAG"}, 304),
    ({"if_none_match": '"a", W/"b" , TAG'}, 304),
    ({"if_none_match": "*"}, 304),
    ({"if_none_match": '"a"'}, 200),
    ({"if_none_match": "a"}, 200),
    ({"if_none_match": ""}, 200),
    ({"if_modified_since": DATE}, 304),
    ({"if_modified_since": LATER}, 304),
    ({"if_modified_since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, 304),
    ({"if_modified_since": "Tue Nov 14 22:13:20 2023"}, 304),
    ({"if_modified_since": EARLIER}, 200),
    ({"if_modified_since": "yesterday"}, 200),
    ({"if_modified_since": "1700000000"}, 200),
    ({"if_none_match": '"a"', "if_modified_since": LATER}, 200),
    ({"if_none_match": "TAG", "if_modified_since": EARLIER}, 304),
    ({"if_match": "TAG"}, 200),
    ({"if_match": "*"}, 200),
    ({"if_match": '"a", TAG'}, 200),
    ({"if_match": "W/TAG"}, 412),
    ({"if_match": '"a"'}, 412),
    ({"if_match": "nonsense"}, 412),
    ({"if_unmodified_since": DATE}, 200),
    ({"if_unmodified_since": EARLIER}, 412),
    ({"if_unmodified_since": "yesterday"}, 200),
    ({"if_match": "TAG", "if_unmodified_since": EARLIER}, 200),
    ({"if_match": "TAG", "if_none_match": "TAG"}, 304),
    ({"if_match": '"a"', "if_none_match": "TAG"}, 412),
    ({"if_unmodified_since": EARLIER, "if_modified_since": LATER}, 412),
]


@pytest.mark.parametrize(("fields", "status"), PRECEDENCE)
def test_conditions_in_their_order(shelf, fields, status):
    assert statuses(shelf, etag(shelf), **fields) == status


def test_the_lines_of_a_field_are_one_list():
    lines = [(b"if-none-match", b'"a"'), (b"host", b"x"), (b"if-none-match", b'"b"')]
    assert asked(lines) == {b"if-none-match": b'"a", "b"'}


def test_an_answer_that_is_still_good_says_no_more_than_it_must(shelf):
    tag = etag(shelf)
    answer = shelf.ask("/static/a.bin", if_none_match=tag)
    assert answer.body == b""
    assert answer.fields == {
        b"etag": tag.encode(),
        b"cache-control": b"max-age=60",
        b"vary": b"accept-encoding",
    }


@pytest.mark.parametrize("ahead_s", [0, 1, -3600])
def test_a_file_that_may_change_unseen_has_a_weak_tag(shelf, ahead_s):
    """Within two seconds after its change, or with a time that is yet to come."""
    shelf.now_ns = (MODIFIED_S + ahead_s) * SECOND_NS
    tag = etag(shelf)
    assert tag.startswith('W/"')
    assert statuses(shelf, tag, if_none_match="TAG") == 304
    assert statuses(shelf, tag, if_match="TAG") == 412
    first = {"range": "bytes=0-0"}
    assert shelf.ask("/static/a.bin", **first).status == 206
    assert shelf.ask("/static/a.bin", **first, if_range=tag).status == 200
    assert shelf.ask("/static/a.bin", **first, if_range=DATE).status == 200


def test_nothing_was_changed_after_its_answer(shelf):
    shelf.now_ns = (MODIFIED_S - 1) * SECOND_NS
    assert shelf.ask("/static/a.bin")["last-modified"] == BEFORE


def test_a_file_from_before_the_epoch(shelf):
    shelf.put("old.txt", at_ns=-SECOND_NS)
    answer = shelf.ask("/static/old.txt")
    assert answer["last-modified"] == b"Thu, 01 Jan 1970 00:00:00 GMT"


IF_RANGE = [("TAG", 206), (DATE, 206), ("W/TAG", 200), ('"a"', 200), (LATER, 200), ("x", 200)]


@pytest.mark.parametrize(("value", "status"), IF_RANGE)
def test_a_part_goes_with_the_parts_that_one_has(shelf, value, status):
    value = value.replace("TAG", etag(shelf))
    answer = shelf.ask("/static/a.bin", range="bytes=10-19", if_range=value)
    assert answer.status == status
    assert answer.body == (CONTENT[10:20] if status == 206 else CONTENT)


ONE_PART = {
    "bytes=0-9": (0, 9),
    "bytes=90-": (90, 99),
    "bytes=-10": (90, 99),
    "bytes=-1000": (0, 99),
    "bytes=0-1000": (0, 99),
    "bytes=99-99": (99, 99),
    "BYTES=0-9": (0, 9),
    "bytes= 0-9 ": (0, 9),
    "bytes=,0-9,": (0, 9),
    "bytes=0-9,100-": (0, 9),  # of two, one is there
}


@pytest.mark.parametrize(("value", "span"), ONE_PART.items())
def test_one_part(shelf, value, span):
    first, last = span
    answer = shelf.ask("/static/a.bin", range=value)
    assert (answer.status, answer.body) == (206, CONTENT[first : last + 1])
    assert answer["content-range"] == b"bytes %d-%d/100" % span
    assert answer["content-length"] == b"%d" % (last + 1 - first)
    assert answer["content-type"] == b"application/octet-stream"


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=200-300", "bytes=-0", "bytes=100-,-0"])
def test_a_part_that_is_not_there(shelf, value):
    answer = shelf.ask("/static/a.bin", range=value)
    assert (answer.status, answer["content-range"]) == (416, b"bytes */100")
    assert shelf.ask("/static/a.bin", "HEAD", range=value).status == 200


@pytest.mark.parametrize(
    "value",
    [
        *("lines=0-9", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=9-0", "bytes=a-b"),
        *("bytes=0-9;1-2", "bytes=0--9", "bytes=+1-2", "bytes=0-9,x", "bytes=0 - 9"),
        "bytes=0-" + "9" * 30,
        "bytes=" + ",".join(["0-0"] * (MOST + 1)),
        "bytes=" + "," * 100_000,
        "bytes=0-,0-",  # twice the file
        "bytes=0-60,50-",
    ],
)
def test_a_range_that_is_not_heeded(shelf, value):
    answer = shelf.ask("/static/a.bin", range=value)
    assert (answer.status, answer.body) == (200, CONTENT)


def test_several_parts_in_the_order_that_was_asked_for(shelf):
    answer = shelf.ask("/static/a.bin", range="bytes=50-59, 0-9,-1,50-59")
    assert answer.status == 206
    boundary = re.fullmatch(rb"multipart/byteranges; boundary=(\w+)", answer["content-type"])[1]
    assert answer["content-length"] == b"%d" % len(answer.body)
    assert answer["content-range"] is None
    empty, *parts, last = answer.body.split(b"\r\n--" + boundary)
    assert (empty, last) == (b"", b"--\r\n")
    said = [
        re.fullmatch(
            rb"\r\ncontent-type: application/octet-stream"
            rb"\r\ncontent-range: bytes (\d+)-(\d+)/100\r\n\r\n(.*)",
            part,
            re.DOTALL,
        ).groups()
        for part in parts
    ]
    spans = ((50, 60), (0, 10), (99, 100), (50, 60))
    assert said == [(b"%d" % a, b"%d" % (b - 1), CONTENT[a:b]) for a, b in spans]


def test_of_an_empty_file(shelf):
    shelf.put("empty.bin", b"")
    assert shelf.ask("/static/empty.bin", range="bytes=0-").status == 416
    assert shelf.ask("/static/empty.bin", range="bytes=-1").status == 200


def test_as_many_parts_as_are_allowed():
    spans = select(b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(MOST)), MOST)
    assert spans == [(n, n + 1) for n in range(MOST)]


@pytest.mark.parametrize("text", [DATE, LATER, "Thu, 29 Feb 2024 23:59:59 GMT"])
def test_a_date_is_read_as_it_is_written(text):
    at = dates.read(text.encode())
    assert at == int(parsedate_to_datetime(text).timestamp())
    assert dates.written(at).decode() == text


@pytest.mark.parametrize(
    "text",
    [
        *("Tue, 14 Nov 2023 24:13:20 GMT", "Tue, 14 Nov 2023 22:60:20 GMT"),
        *("Tue, 32 Nov 2023 22:13:20 GMT", "Tue, 00 Nov 2023 22:13:20 GMT"),
        *("Tue, 14 Nov 2023 22:13:20 +0000", "Tue, 14 nov 2023 22:13:20 GMT"),
        *("Tue, 14 Nov 0000 22:13:20 GMT", "14 Nov 2023 22:13:20 GMT", ""),
    ],
)
def test_what_is_no_date(text):
    assert dates.read(text.encode()) is None


def test_a_year_of_two_digits_is_not_more_than_fifty_years_ahead():
    assert dates.read(b"Sunday, 06-Nov-94 08:49:37 GMT") == 784111777
