"""The grammar of field lines; what a peer can do with them is in tests/wire/vectors/fields.md."""

from __future__ import annotations

import pytest

from granian_d.errors import HeadTooLarge, ProtocolViolation
from granian_d.http.fields import TOKEN, members, parse_section, values


def test_names_in_lower_case_values_stripped_order_kept() -> None:
    section = b"B: 2\r\nA:\t1 \r\nb:3\r\nc:\r\n"
    assert parse_section(section, 4) == [(b"b", b"2"), (b"a", b"1"), (b"b", b"3"), (b"c", b"")]


def test_an_empty_section() -> None:
    assert parse_section(b"", 0) == []


def test_too_many_lines() -> None:
    with pytest.raises(HeadTooLarge):
        parse_section(b"a: 1\r\nb: 2\r\n", 1)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (b"a: 1", "without its end"),
        (b"a: 1\r\nb: 2", "without its end"),
        (b"a: 1\r\n\r\n", "without a colon"),
        (b"a\r\n", "without a colon"),
        (b": a\r\n", "without a name"),
        (b"a : b\r\n", "between field name and colon"),
        (b"a\t: b\r\n", "between field name and colon"),
        (b" a: b\r\n", "begins with white space"),
        (b"a: b\r\n\tc\r\n", "begins with white space"),
        (b"a b: c\r\n", "not a token"),
        (b"a(b): c\r\n", "not a token"),
        (b"a\nb: c\r\n", "not a token"),
        (b"a: b\nc: d\r\n", "control character"),
        (b"a: b\rc\r\n", "control character"),
        (b"a: b\0\r\n", "control character"),
    ],
)
def test_malformed_sections_say_what_is_wrong(section: bytes, reason: str) -> None:
    with pytest.raises(ProtocolViolation, match=reason) as caught:
        parse_section(section, 10)
    assert caught.value.http_status == 400
    assert caught.value.section.startswith("RFC 91")


def test_every_octet_in_a_name_and_in_a_value() -> None:
    """RFC 9110 5.6.2 and 5.5, octet by octet."""
    tchar = set(b"!#$%&'*+-.^_`|~") | {octet for octet in range(128) if bytes([octet]).isalnum()}
    for octet in range(256):
        one = bytes([octet])
        assert (TOKEN.fullmatch(one) is not None) == (octet in tchar)
        good = octet == 9 or (octet >= 32 and octet != 127)
        if good:
            assert parse_section(b"x: a" + one + b"b\r\n", 1) == [(b"x", b"a" + one + b"b")]
        else:
            with pytest.raises(ProtocolViolation):
                parse_section(b"x: a" + one + b"b\r\n", 1)


def test_values_and_members() -> None:
    fields = [(b"x", b"A, b"), (b"y", b"z"), (b"x", b",, C ,\t")]
    assert values(fields, b"x") == [b"A, b", b",, C ,\t"]
    assert members(fields, b"x") == [b"a", b"b", b"c"]
    assert members(fields, b"none") == []
