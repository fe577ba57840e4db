"""Parts of files in the queue of a connection: in order, by sendfile(2), and never touched afterwards."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import socket
import sys

import pytest

from tests.unit.transport import transports
from tests.unit.transport.house import reset

pytestmark = pytest.mark.parametrize("transport", ["direct"], indirect=True)

STREAM = random.Random(1).randbytes(3 << 20)
TURN_BYTES = 4 * 262_144  # of files that one connection may send a turn


@pytest.fixture
def span(bench):
    """Makes parts of files; a wire that has written one must not need the file any more."""
    transports.need("direct")
    from granian_d.engine.native.wire import FileSpan

    return FileSpan


@pytest.fixture
def file(bench, tmp_path):
    """A file with STREAM in it."""
    path = tmp_path / "stream"
    path.write_bytes(STREAM)
    return bench.keep(path.open("r+b"))


@pytest.mark.parametrize("inside", [True, False], ids=["in the feed", "outside"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_octets_and_files_leave_in_order(bench, tmp_path, span, file, kind, inside):
    async def scenario():
        client, endpoint = await bench.connect(
            ("127.0.0.1", 0) if kind == "tcp" else f"{tmp_path}/s"
        )
        first, second = span(file.fileno(), 7, 700_000), span(file.fileno(), 0, 1)
        last = span(file.fileno(), 1 << 20, 2 << 20)

        def write() -> None:
            endpoint.wire.write(b"one ")
            assert not endpoint.wire.write_file(b"two ", first)
            endpoint.wire.write(b" three ")
            endpoint.wire.write_file(b"", second)
            endpoint.wire.write_file(b" four ", last)
            endpoint.wire.write(b" five")

        if inside:
            endpoint.reactions["data"] = write
            await bench.send(client, b"x")
        else:
            write()
        expected = b"one two %b three %b four %b five" % (
            STREAM[7:700_007],
            STREAM[:1],
            STREAM[1 << 20 :],
        )
        assert await bench.receive(client, len(expected)) == expected
        await endpoint.until("room")
        assert [(part.left, part.copied) for part in (first, second, last)] == [(0, False)] * 3
        assert endpoint.wire.queued_bytes() == 0
        assert file.tell() == 0, "the file's own position is nobody's"

    bench.run(scenario())


@pytest.mark.parametrize("seed", range(3))
def test_files_and_writes_of_all_sizes(bench, span, file, seed):
    dice = random.Random(seed)

    async def scenario():
        client, endpoint = await bench.connect()
        written, received = 0, bytearray()

        def write_some() -> None:
            nonlocal written
            count = min(dice.choice((1, 5_000, 70_000, 300_000)), len(STREAM) - written)
            if count == 0:
                return
            if dice.random() < 0.5:
                head = min(count - 1, dice.choice((0, 1, 20_000)))
                endpoint.wire.write_file(
                    STREAM[written : written + head],
                    span(file.fileno(), written + head, count - head),
                )
            else:
                endpoint.wire.write(STREAM[written : written + count])
            written += count

        endpoint.reactions["data"] = endpoint.reactions["room"] = write_some
        while written < len(STREAM):
            if dice.random() < 0.5:
                write_some()
            else:
                await bench.send(client, b".")
                await bench.settle()
            if written > len(received):
                received += await bench.loop.sock_recv(client, 200_000)
        endpoint.reactions.clear()
        endpoint.wire.finish()
        received += await bench.receive_all(client)
        assert bytes(received) == STREAM

    bench.run(scenario())


def test_a_small_file_is_gone_at_once(bench, span, file):
    async def scenario():
        client, endpoint = await bench.connect()
        part = span(file.fileno(), 5, 10)
        assert endpoint.wire.write_file(b"head ", part)
        assert part.left == 0
        assert await bench.receive(client, 15) == b"head " + STREAM[5:15]

    bench.run(scenario())


@pytest.mark.parametrize("inside", [True, False], ids=["in the feed", "outside"])
def test_octets_share_a_packet_with_the_beginning_of_a_file(bench, span, file, inside):
    async def scenario():
        client, endpoint = await bench.connect()
        before = packets(client)

        def write() -> None:
            endpoint.wire.write_file(b"head ", span(file.fileno(), 0, 100))

        if inside:
            endpoint.reactions["data"] = write
            await bench.send(client, b"x")
        else:
            write()
        assert await bench.receive(client, 105) == b"head " + STREAM[:100]
        assert packets(client) - before == 1

    bench.run(scenario())


def packets(client) -> int:
    """Those that have come with data: tcpi_data_segs_in of tcp_info."""
    facts = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    return int.from_bytes(facts[152:156], sys.byteorder)


def test_there_is_no_room_while_some_of_a_file_is_left(bench, span, file):
    """Not even when less is left than the low-water mark: its owner waits to close it."""

    async def scenario():
        client, endpoint = await bench.connect()
        part = span(file.fileno(), 0, 60_000)
        left = []
        endpoint.reactions["room"] = lambda: left.append(part.left)
        assert not endpoint.wire.write_file(b"", part)
        assert not endpoint.wire.write(b".")
        before = endpoint.wire.queued_bytes()
        assert before == part.left + 1 > 1
        await bench.receive(client, 3_000)
        await bench.settle()
        assert endpoint.wire.queued_bytes() <= before, "and what moves is seen"
        assert await bench.receive(client, 57_001) == STREAM[3_000:60_000] + b"."
        await endpoint.until("room")
        assert left == [0]

    bench.run(scenario())


def test_a_file_that_was_sent_at_once_lets_a_turn_pass(bench, tmp_path, span, file):
    """As with `put`: a peer that reads as fast as we send would keep the loop busy."""

    async def scenario():
        client, endpoint = await bench.connect(f"{tmp_path}/s", send_buffer=1 << 24)
        part = span(file.fileno(), 0, 300_000)
        room = endpoint.wire.write_file(b"", part)
        if part.left:
            pytest.skip("the kernel holds less: sysctl net.core.wmem_max")
        assert not room
        await endpoint.until("room")
        assert endpoint.wire.write(b".")
        assert await bench.receive(client, 300_001) == STREAM[:300_000] + b"."

    bench.run(scenario())


def test_a_large_file_does_not_hold_up_another_connection(bench, tmp_path, span, file):
    async def scenario():
        (reader, sender), (client, other) = [
            await bench.connect(f"{tmp_path}/{name}", send_buffer=1 << 24) for name in "ab"
        ]
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        part = span(file.fileno(), 0, len(STREAM))
        left_before = []
        other.reactions["data"] = lambda: left_before.append(part.left)
        sender.wire.write_file(b"", part)
        assert part.left >= len(STREAM) - TURN_BYTES
        client.send(b"x")
        await other.until("data")
        assert left_before[0] >= len(STREAM) - 3 * TURN_BYTES
        assert await bench.receive(reader, len(STREAM)) == STREAM

    bench.run(scenario())


@pytest.mark.parametrize("size", [0, 10, 400_000])
def test_a_file_that_is_shorter_than_said_cuts_the_connection(bench, span, file, size):
    async def scenario():
        client, endpoint = await bench.connect()
        part = span(file.fileno(), 0, 500_000)
        file.truncate(size)
        assert not endpoint.wire.write_file(b"head", part)
        got = bytearray()
        with pytest.raises(ConnectionResetError):
            while chunk := await bench.loop.sock_recv(client, 65536):
                got += chunk
        assert (b"head" + STREAM[:size]).startswith(got)
        await endpoint.until("lost")
        assert (part.left, part.error) == (500_000 - size, 0)

    bench.run(scenario())


def test_a_file_that_cannot_be_read_cuts_the_connection(bench, span, tmp_path):
    async def scenario():
        client, endpoint = await bench.connect()
        fd = os.open(tmp_path, os.O_RDONLY)
        try:
            part = span(fd, 0, 100)
            assert not endpoint.wire.write_file(b"", part)
        finally:
            os.close(fd)
        with pytest.raises(ConnectionResetError):
            await bench.receive_all(client)
        await endpoint.until("lost")
        assert (part.left, part.error) == (100, errno.EISDIR)

    bench.run(scenario())


def test_a_file_that_sendfile_cannot_do_is_read(bench, span):
    """The memory of a process is one."""

    async def scenario():
        memory = ctypes.create_string_buffer(STREAM, len(STREAM))
        client, endpoint = await bench.connect()
        with open("/proc/self/mem", "rb", buffering=0) as mem:
            part = span(mem.fileno(), ctypes.addressof(memory), len(STREAM))
            endpoint.wire.write_file(b"head ", part)
            endpoint.wire.write(b" tail")
            expected = b"head " + STREAM + b" tail"
            assert await bench.receive(client, len(expected)) == expected
            await endpoint.until("room")
        if not part.copied:
            pytest.skip("this kernel's sendfile can do it")

    bench.run(scenario())


@pytest.mark.parametrize("end", ["abort", "reset"])
def test_nothing_touches_the_file_when_the_connection_is_no_more(bench, span, file, end):
    async def scenario():
        client, endpoint = await bench.connect()
        fd = os.dup(file.fileno())
        part = span(fd, 0, len(STREAM))
        endpoint.wire.write_file(b"", part)
        if end == "abort":
            endpoint.wire.abort()
        else:
            reset(client)
            await endpoint.until("lost")
        os.close(fd)
        left = part.left
        await bench.settle()
        await endpoint.until("lost")
        assert left == part.left > 0
        assert part.error == 0
        assert not endpoint.wire.write_file(b"", part), "and nothing is sent any more"

    bench.run(scenario())


def test_a_finished_connection_sends_its_file_first(bench, span, file):
    async def scenario():
        client, endpoint = await bench.connect()
        endpoint.wire.write_file(b"", span(file.fileno(), 0, len(STREAM)))
        endpoint.wire.finish()
        assert await bench.receive_all(client) == STREAM

    bench.run(scenario())
