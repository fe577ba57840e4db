"""The intake of heads: that it looks at every octet a bounded number of times."""

from __future__ import annotations

from typing import SupportsIndex

import pytest

from granian_d.engine.pure.h1_head import HeadIntake
from granian_d.errors import HeadTooLarge, TargetTooLong


class Counting(bytearray):
    """A buffer that counts the octets that were searched."""

    searched = 0

    def find(
        self,
        sub: bytes,  # type: ignore[override]  # only what the intake calls
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
    ) -> int:
        found = super().find(sub, start, end)
        stop = found if found >= 0 else min(int(end or 0), len(self))
        self.searched += max(stop - int(start or 0), 0)
        return found


def test_octet_by_octet_is_linear() -> None:
    intake = HeadIntake(65536)
    intake._buffer = Counting()
    head = b"GET / HTTP/1.1\r\n" + b"X-Name: some value\r\n" * 3000 + b"\r\n"
    for octet in head[:-1]:
        intake.append(bytes([octet]))
        assert intake.take() is None
    intake.append(head[-1:])
    assert intake.take() is not None
    assert intake._buffer.searched < 10 * len(head)


@pytest.mark.parametrize("length", [99, 100, 101, 150])
def test_the_limit_counts_the_whole_head(length: int) -> None:
    head = b"GET / HTTP/1.1\r\nX: "
    head += b"x" * (length - len(head) - 4) + b"\r\n\r\n"
    assert len(head) == length
    intake = HeadIntake(100)
    intake.append(head)
    if length <= 100:
        raw = intake.take()
        assert raw is not None
        assert raw.octets == head
        assert raw.section == head[16:-2]
        assert len(intake) == 0
    else:
        with pytest.raises(HeadTooLarge):
            intake.take()


def test_a_head_that_can_only_become_too_long_is_too_long() -> None:
    intake = HeadIntake(100)
    intake.append((b"GET / HTTP/1.1\r\nX: " + b"x" * 100)[:100])
    with pytest.raises(HeadTooLarge):
        intake.take()


def test_the_request_line_alone_is_another_status() -> None:
    intake = HeadIntake(100)
    intake.append(b"GET /" + b"x" * 96)
    with pytest.raises(TargetTooLong):
        intake.take()


def test_what_follows_stays() -> None:
    intake = HeadIntake(100)
    intake.append(b"GET / HTTP/1.1\r\n\r\nrest")
    raw = intake.take()
    assert raw is not None
    assert raw.section == b""
    assert intake.method == b"GET"
    assert intake.take_rest() == b"rest"
    assert len(intake) == 0
