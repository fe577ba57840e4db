"""Files as answers: what is said of them, in which form they come, and what has none.

Gaps of Granian's static files are named where they are mended ("Granian: ...").
"""

from __future__ import annotations

import errno
import gzip
import os
import socket

import pytest

from granian_d.errors import InvalidResponse
from granian_d.http import states
from granian_d.http.exchange import FILE_PART_BYTES

from .memory import MemoryExchange, request
from .shelf import MODIFIED, MODIFIED_S, SECOND_NS, Answer, Shelf


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


@pytest.fixture(autouse=True)
def _every_file_is_closed():
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) <= before


class TestWhatIsSaid:
    def test_of_a_file(self, shelf):
        """Granian: no Content-Length, ETag or Last-Modified."""
        shelf.put("a.css", b"body {}")
        answer = shelf.ask("/static/a.css?v=1")
        assert (answer.status, answer.body) == (200, b"body {}")
        assert answer.fields == {
            b"content-length": b"7",
            b"content-type": b"text/css; charset=utf-8",
            b"etag": b'"%x-7"' % (MODIFIED_S * SECOND_NS),
            b"last-modified": MODIFIED,
            b"accept-ranges": b"bytes",
            b"x-content-type-options": b"nosniff",
            b"vary": b"accept-encoding",
        }

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("a.txt", b"text/plain; charset=utf-8"),
            ("a.JS", b"text/javascript; charset=utf-8"),
            ("a.b.html", b"text/html; charset=utf-8"),
            ("a.json", b"application/json"),
            ("a.svg", b"image/svg+xml"),
            ("a.png", b"image/png"),
            ("a.tar.gz", b"application/gzip"),
            ("a.unheard-of", b"application/octet-stream"),
            ("html", b"application/octet-stream"),
        ],
    )
    def test_of_what_it_is(self, shelf, name, said):
        """Granian: text without a charset."""
        shelf.put(name)
        assert shelf.ask(f"/static/{name}")["content-type"] == said

    def test_of_how_long_it_may_be_kept(self, tmp_path):
        shelf = Shelf(tmp_path, expires_s=86400.0)
        shelf.put("a.txt")
        assert shelf.ask("/static/a.txt")["cache-control"] == b"max-age=86400"
        assert shelf.ask("/static/b.txt")["cache-control"] is None

    def test_to_head(self, shelf):
        """Granian: a HEAD without Content-Length."""
        shelf.put("a.txt", b"0123456789")
        answer = shelf.ask("/static/a.txt", "HEAD", range="bytes=0-1")
        assert (answer.status, answer.body, answer["content-length"]) == (200, b"", b"10")
        missing = shelf.ask("/static/b.txt", "HEAD")
        assert (missing.status, missing.body, missing["content-length"]) == (404, b"", b"9")

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
    def test_to_other_methods(self, shelf, method):
        """Granian: a file for a POST."""
        shelf.put("a.txt")
        answer = shelf.ask("/static/a.txt", method)
        assert (answer.status, answer["allow"]) == (405, b"GET, HEAD, OPTIONS")

    def test_to_options(self, shelf):
        answer = shelf.ask("/static/a.txt", "OPTIONS")
        assert (answer.status, answer["allow"]) == (204, b"GET, HEAD, OPTIONS")

    def test_of_an_empty_file(self, shelf):
        shelf.put("a.txt", b"")
        answer = shelf.ask("/static/a.txt")
        assert (answer.status, answer.body, answer["content-length"]) == (200, b"", b"0")

    def test_of_what_is_not_there(self, shelf):
        answer = shelf.ask("/static/a.txt")
        assert (answer.status, answer.body) == (404, b"Not found")
        assert answer["content-type"] == b"text/plain; charset=utf-8"

    def test_of_a_name_that_is_not_ascii(self, shelf):
        shelf.put("\u3053\u3093.txt")
        assert shelf.ask("/static/%E3%81%93%E3%82%93.txt").status == 200


class TestWhatIsNoFile:
    def test_a_fifo_a_socket_and_a_device(self, shelf, tmp_path, monkeypatch):
        """Without waiting for who would write."""
        os.mkfifo(tmp_path / "fifo")
        with socket.socket(socket.AF_UNIX) as listener:
            monkeypatch.chdir(tmp_path)  # sun_path is short
            listener.bind("socket")
            assert shelf.ask("/static/fifo").status == 404
            assert shelf.ask("/static/socket").status == 404
        device = Shelf(tmp_path.__class__("/dev"), symlinks="on")
        assert device.ask("/static/zero").status == 404

    def test_a_file_is_no_directory(self, shelf):
        shelf.put("a.txt")
        assert shelf.ask("/static/a.txt/").status == 404
        assert shelf.ask("/static/a.txt/b").status == 404

    def test_a_name_that_is_too_long(self, shelf):
        assert shelf.ask("/static/" + "x" * 5000).status == 404

    def test_a_machine_at_its_end_is_a_fault(self, shelf, monkeypatch):
        def full(*_args, **_how):
            raise OSError(errno.EMFILE, "Too many open files")

        exchange = MemoryExchange(request(b"/static/a.txt"))
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", full)
            assert shelf.site.serve(exchange)
        assert exchange.status == 500
        assert [error.errno for error in exchange.crashes] == [errno.EMFILE]

    def test_a_machine_at_its_end_keeps_no_file_open(self, shelf, monkeypatch):
        """The plain file is open already when the one beside it cannot be opened."""
        shelf.put("a.js")
        really, calls = os.open, []

        def full_after_one(*args, **how):
            calls.append(args)
            if len(calls) > 1:
                raise OSError(errno.EMFILE, "Too many open files")
            return really(*args, **how)

        fields = [(b"accept-encoding", b"gzip")]
        exchange = MemoryExchange(request(b"/static/a.js", fields=fields))
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", full_after_one)
            assert shelf.site.serve(exchange)
        assert exchange.status == 500

    def test_a_mount_that_cannot_be_entered_is_noted(self, tmp_path):
        (note,) = Shelf(tmp_path / "gone").site.notes
        assert str(tmp_path / "gone") in note
        assert Shelf(tmp_path).site.notes == []


class TestDirectories:
    def test_without_an_index(self, shelf):
        shelf.put("docs/index.html")
        assert shelf.ask("/static/docs").status == 404
        assert shelf.ask("/static/docs/").status == 404

    @pytest.mark.parametrize(
        "path", ["/static", "/static/", "/static/docs", "/static/docs/", "/static//docs//"]
    )
    def test_with_one(self, tmp_path, path):
        """Granian's rewriting: the index answers for the directory, with a slash or without."""
        shelf = Shelf(tmp_path, index="index.html")
        shelf.put("index.html")
        shelf.put("docs/index.html")
        answer = shelf.ask(path)
        assert (answer.status, answer.body) == (200, b"content")
        assert answer["content-type"] == b"text/html; charset=utf-8"

    @pytest.mark.parametrize("path", ["/static/empty", "/static/empty/"])
    def test_whose_index_is_missing(self, tmp_path, path):
        (tmp_path / "empty").mkdir()
        assert Shelf(tmp_path, index="index.html").ask(path).status == 404

    def test_whose_index_is_a_directory(self, tmp_path):
        (tmp_path / "odd" / "index.html").mkdir(parents=True)
        shelf = Shelf(tmp_path, index="index.html")
        assert shelf.ask("/static/odd").status == 404
        assert shelf.ask("/static/odd/").status == 404


class TestCompressedForms:
    """Granian: none of them."""

    @pytest.fixture
    def forms(self, shelf):
        shelf.put("a.js", b"plain")
        for suffix in ("br", "zst", "gz"):
            shelf.put(f"a.js.{suffix}", suffix.encode())
        return shelf

    @pytest.mark.parametrize(
        ("accepted", "form"),
        [
            ("gzip, deflate, br, zstd", b"br"),
            ("gzip, deflate, zstd", b"zst"),
            ("GZIP", b"gz"),
            ("x-gzip", b"gz"),
            ("gzip;q=1.0, br;q=0.5", b"gz"),
            ("br;q=0, *", b"zst"),
            ("*", b"br"),
            ("*;q=0, gzip", b"gz"),
            ("gzip ; q=0.001", b"gz"),
            ("deflate", b"plain"),
            ("", b"plain"),
            ("identity", b"plain"),
            ("identity, gzip;q=0.9", b"plain"),
            ("gzip;q=0", b"plain"),
            ("gzip;q=2", b"plain"),
            ("gzip;quality=1", b"plain"),
            ("gzip," + " " * 300, b"plain"),
        ],
    )
    def test_by_what_a_client_takes(self, forms, accepted, form):
        answer = forms.ask("/static/a.js", accept_encoding=accepted)
        assert (answer.status, answer.body) == (200, form)
        coding = {b"gz": b"gzip", b"zst": b"zstd", b"plain": None}.get(form, form)
        assert answer["content-encoding"] == coding
        assert answer["content-type"] == b"text/javascript; charset=utf-8"
        assert answer["vary"] == b"accept-encoding"

    def test_each_has_a_tag_of_its_own(self, forms):
        same = dict.fromkeys(("a.js", "a.js.br", "a.js.zst", "a.js.gz"), b"same size")
        for name, content in same.items():
            forms.put(name, content)
        tags = {
            forms.ask("/static/a.js", accept_encoding=coding)["etag"]
            for coding in ("br", "zstd", "gzip", "identity")
        }
        assert len(tags) == 4

    def test_a_range_is_of_the_form(self, shelf):
        packed = gzip.compress(b"plain" * 100)
        shelf.put("a.js", b"plain" * 100)
        shelf.put("a.js.gz", packed)
        answer = shelf.ask("/static/a.js", accept_encoding="gzip", range="bytes=0-9")
        assert (answer.status, answer.body) == (206, packed[:10])
        assert answer["content-range"] == b"bytes 0-9/%d" % len(packed)
        assert answer["content-encoding"] == b"gzip"

    def test_several_ranges_of_a_form_are_all_of_it(self, forms):
        forms.put("a.js.gz", b"0123456789")
        answer = forms.ask("/static/a.js", accept_encoding="gzip", range="bytes=0-1,4-5")
        assert (answer.status, answer.body) == (200, b"0123456789")

    def test_one_that_is_older_than_its_file_is_stale(self, forms):
        forms.put("a.js", b"new", (MODIFIED_S + 1) * SECOND_NS)
        assert forms.ask("/static/a.js", accept_encoding="br").body == b"new"

    def test_one_whose_program_dropped_the_fractions_of_its_time(self, forms):
        forms.put("a.js", b"plain", MODIFIED_S * SECOND_NS + 7)
        assert forms.ask("/static/a.js", accept_encoding="br").body == b"br"

    def test_without_the_file_itself_there_is_nothing(self, forms):
        (forms.directory / "a.js").unlink()
        assert forms.ask("/static/a.js", accept_encoding="br").status == 404

    def test_a_form_that_is_asked_for_by_its_name(self, forms):
        answer = forms.ask("/static/a.js.gz", accept_encoding="gzip")
        assert (answer.body, answer["content-encoding"]) == (b"gz", None)
        assert answer["content-type"] == b"application/gzip"

    def test_a_directory_is_no_form(self, shelf):
        shelf.put("a.js")
        (shelf.directory / "a.js.gz").mkdir()
        assert shelf.ask("/static/a.js", accept_encoding="gzip").body == b"content"

    def test_where_nothing_is_acceptable(self, shelf):
        shelf.put("a.js")
        answer = shelf.ask("/static/a.js", accept_encoding="br, identity;q=0")
        assert (answer.status, answer["vary"]) == (406, b"accept-encoding")

    def test_what_is_compressed_has_none(self, shelf):
        shelf.put("a.png", b"plain")
        shelf.put("a.png.gz", b"packed")
        answer = shelf.ask("/static/a.png", accept_encoding="gzip")
        assert (answer.body, answer["vary"]) == (b"plain", None)

    def test_where_they_are_not_wanted(self, tmp_path):
        shelf = Shelf(tmp_path, precompressed=False)
        shelf.put("a.js", b"plain")
        shelf.put("a.js.gz", b"packed")
        answer = shelf.ask("/static/a.js", accept_encoding="gzip, identity;q=0")
        assert (answer.status, answer.body, answer["vary"]) == (200, b"plain", None)


class TestWhileItIsSent:
    SIZE = 3 * FILE_PART_BYTES

    def narrow(self, **fields):
        given = [(name.encode(), value.encode()) for name, value in fields.items()]
        return MemoryExchange(request(b"/static/a.bin", fields=given), room_bytes=0)

    def drained(self, exchange):
        while exchange.state == states.STARTED:
            exchange.read()
        return Answer(exchange)

    @pytest.fixture
    def file(self, shelf):
        return shelf.put("a.bin", os.urandom(self.SIZE))

    def test_a_slow_peer_gets_all_of_it(self, shelf, file):
        exchange = self.narrow()
        shelf.site.serve(exchange)
        assert exchange.sent_bytes < self.SIZE
        assert self.drained(exchange).body == file.read_bytes()

    @pytest.mark.parametrize("span", [None, "bytes=0-9,200000-390000"])
    def test_a_file_that_becomes_shorter_is_cut_and_told_of(self, shelf, file, span):
        exchange = self.narrow(range=span) if span else self.narrow()
        shelf.site.serve(exchange)
        os.truncate(file, 150_000)
        while exchange.state == states.STARTED:
            exchange.read()
        assert exchange.state == states.ABORTED
        (error,) = exchange.crashes
        assert isinstance(error, InvalidResponse)
        assert "shorter" in str(error)

    def test_one_that_grows_is_sent_as_it_was(self, shelf, file):
        exchange = self.narrow()
        shelf.site.serve(exchange)
        with file.open("ab") as grown:
            grown.write(b"more")
        assert len(self.drained(exchange).body) == self.SIZE

    @pytest.mark.parametrize("span", [None, "bytes=0-9,200000-390000"])
    def test_a_peer_that_leaves_is_no_fault(self, shelf, file, span):
        exchange = self.narrow(range=span) if span else self.narrow()
        shelf.site.serve(exchange)
        exchange.lose()
        assert exchange.state == states.ABORTED
        assert exchange.crashes == []

    @pytest.mark.parametrize("path", [b"/static/a.bin", b"/static/b.bin", b"/static/%00"])
    def test_a_peer_that_has_left_already(self, shelf, file, path):
        exchange = MemoryExchange(request(path))
        exchange.lose()
        assert shelf.site.serve(exchange)
        assert exchange.crashes == []
