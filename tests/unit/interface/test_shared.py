"""The rooms that interfaces share: target, fields, files, departure."""

import asyncio
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.errors import Disconnected, InvalidResponse
from granian_d.interface.departure import is_departure
from granian_d.interface.fields import declared_length, is_event_stream
from granian_d.interface.files import open_regular
from granian_d.interface.target import decode_path, fields_with_host, percent_decode

from .memory import request


class TestTarget:
    @pytest.mark.parametrize(
        ("raw", "path"),
        [
            (b"/", "/"),
            (b"/a%20b", "/a b"),
            (b"/%c3%A9", "/é"),
            (b"/a%2Fb", "/a/b"),
            (b"/%2525", "/%25"),
            (b"/%", "/%"),
            (b"/%4", "/%4"),
            (b"/%zz%41", "/%zzA"),
            (b"/%ff/x", "/\ufffd/x"),
            (b"/%ed%a0%80", "/\ufffd\ufffd\ufffd"),  # a surrogate is no character
            (b"/+", "/+"),
            (b"*", "*"),
            (b"", ""),
        ],
    )
    def test_paths(self, raw: bytes, path: str) -> None:
        assert decode_path(raw) == path

    @given(st.binary())
    def test_what_is_encoded_comes_back(self, octets: bytes) -> None:
        assert percent_decode(b"".join(b"%%%02x" % octet for octet in octets)) == octets
        assert percent_decode(octets.replace(b"%", b"%25")) == octets

    def test_the_list_is_ones_own(self) -> None:
        head = request()
        fields = fields_with_host(head)
        fields.clear()
        assert head.fields == [(b"host", b"example.org")]

    def test_authority_without_host_comes_first(self) -> None:
        head = request(fields=[(b"a", b"1")], authority=b"x.org", version="2")
        assert fields_with_host(head) == [(b"host", b"x.org"), (b"a", b"1")]

    def test_authority_overrules_host_in_its_place(self) -> None:
        head = request(fields=[(b"a", b"1"), (b"host", b"evil.org")], authority=b"x.org")
        assert fields_with_host(head) == [(b"a", b"1"), (b"host", b"x.org")]

    def test_neither_authority_nor_host(self) -> None:
        assert fields_with_host(request(fields=[(b"a", b"1")], authority=b"")) == [(b"a", b"1")]


class TestFields:
    def test_length(self) -> None:
        assert declared_length([(b"a", b"1"), (b"Content-Length", b" 12\t")]) == 12
        assert declared_length([(b"a", b"1")]) is None

    @pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1,1", b"0x1", b"\xb2"])
    def test_no_length(self, value: bytes) -> None:
        with pytest.raises(InvalidResponse):
            declared_length([(b"content-length", value)])

    def test_event_stream(self) -> None:
        assert is_event_stream([(b"Content-Type", b"text/event-stream; charset=utf-8")])
        assert not is_event_stream([(b"content-type", b"text/plain")])
        assert not is_event_stream([(b"x-event-type", b"text/event-stream")])


class TestFiles:
    def test_a_regular_file(self, tmp_path) -> None:
        (tmp_path / "a").write_bytes(b"12345")
        (tmp_path / "link").symlink_to("a")
        for name in ("a", "link"):
            file = open_regular(str(tmp_path / name))
            assert file.size_bytes == 5
            assert os.pread(file.fd, 9, 0) == b"12345"
            assert not os.get_inheritable(file.fd)
            os.truncate(tmp_path / "a", 3)
            file.look()
            assert file.size_bytes == 3
            file.close()
            file.close()
            (tmp_path / "a").write_bytes(b"12345")

    def test_everything_else_is_refused(self, tmp_path) -> None:
        os.mkfifo(tmp_path / "fifo")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "sock"))
        listener.close()
        before = len(os.listdir("/proc/self/fd"))
        for path in (tmp_path, tmp_path / "fifo", tmp_path / "sock", tmp_path / "no", "/dev/null"):
            with pytest.raises(OSError):
                open_regular(str(path))
        with pytest.raises(ValueError, match="null"):
            open_regular("nul\0")
        assert len(os.listdir("/proc/self/fd")) == before


class Raised(Exception):
    pass


def raised_while_handling(cause: BaseException, how: str) -> BaseException:
    try:
        try:
            raise cause
        except BaseException as error:
            if how == "from":
                raise Raised from error
            if how == "from none":
                raise Raised from None
            raise Raised  # noqa: B904 - the implicit context is the point
    except Raised as error:
        return error


class TestDeparture:
    @pytest.mark.parametrize("how", ["from", "from none", "implicit"])
    def test_what_frameworks_make_of_it(self, how: str) -> None:
        assert is_departure(raised_while_handling(Disconnected("gone"), how))
        assert not is_departure(raised_while_handling(ConnectionResetError(), how))

    def test_groups(self) -> None:
        gone = Disconnected("gone")
        assert is_departure(ExceptionGroup("", [gone, ExceptionGroup("", [gone])]))
        assert not is_departure(ExceptionGroup("", [gone, ValueError()]))
        assert is_departure(raised_while_handling(ExceptionGroup("", [gone]), "from"))

    def test_others(self) -> None:
        assert is_departure(Disconnected("gone"))
        assert not is_departure(ValueError())
        assert not is_departure(asyncio.CancelledError())

    def test_a_ring_of_causes_ends(self) -> None:
        first, second = ValueError(), ValueError()
        first.__cause__, second.__cause__ = second, first
        assert not is_departure(first)
