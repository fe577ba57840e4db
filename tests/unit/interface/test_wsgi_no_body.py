"""The wsgi.input of a request without a body is one object for all of them."""

import io

import pytest

from granian_d.interface.wsgi.intake import NO_BODY


@pytest.mark.parametrize("attempt", range(2))
def test_every_way_to_read_finds_the_end(attempt) -> None:
    assert NO_BODY.read() == NO_BODY.read(5) == NO_BODY.read(None) == NO_BODY.read1(5) == b""
    assert NO_BODY.readline() == NO_BODY.readline(5) == b""
    assert (NO_BODY.readlines(), list(NO_BODY)) == ([], [])
    assert NO_BODY.readinto(bytearray(5)) == NO_BODY.readinto1(bytearray(5)) == 0
    assert io.BufferedReader(NO_BODY).read() == b""
    with NO_BODY as body:  # who closes it closes it for nobody else
        assert body.readable()
    NO_BODY.close()
    assert not NO_BODY.closed


def test_it_holds_nothing() -> None:
    with pytest.raises(io.UnsupportedOperation):
        NO_BODY.write(b"x")
    with pytest.raises(io.UnsupportedOperation):
        NO_BODY.detach()
