"""Nobody takes the loop for himself: neither who sends without end, nor who is written to."""

from __future__ import annotations

import contextlib
import socket

import pytest

from granian_d.transport import tcp

ONLY_DIRECT = pytest.mark.parametrize("transport", ["direct"], indirect=True)
SHARE_BYTES = 4 * 65536  # read of one connection a turn


def roomy(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)


def fill_kernel(client: socket.socket) -> int:
    """Send until the kernel takes no more; how much it took."""
    count = 0
    try:
        while True:
            count += client.send(b"x" * 65536)
    except BlockingIOError:
        return count


def drain_kernel(client: socket.socket) -> None:
    """Receive until the kernel has no more."""
    with contextlib.suppress(BlockingIOError):
        while client.recv(65536):
            pass


@ONLY_DIRECT
def test_a_flood_of_one_peer_does_not_hold_up_another(bench, tmp_path):
    async def scenario():
        (flood, flooded), (client, other) = [
            await bench.connect(f"{tmp_path}/{name}") for name in ("flood", "other")
        ]
        roomy(flood)
        await bench.settle()
        count = fill_kernel(flood)
        if count <= SHARE_BYTES:
            pytest.skip(f"the kernel holds {count} bytes only: sysctl net.core.wmem_max")
        client.send(b"x")
        read_before = []
        other.reactions["data"] = lambda: read_before.append(len(flooded.data))
        await other.until("data")
        assert read_before[0] <= SHARE_BYTES
        await flooded.until_received(count)

    bench.run(scenario())


@ONLY_DIRECT
def test_a_writer_that_is_never_held_up_lets_a_turn_pass_now_and_then(bench, monkeypatch):
    """A peer that reads as fast as we write would keep the loop busy with one answer."""
    monkeypatch.setattr(tcp, "HIGH_WATER_BYTES", 2048)
    bench.limit()

    async def scenario():
        client, endpoint = await bench.connect()
        written = 1
        while endpoint.wire.write(b"x"):
            written += 1
            assert written <= 2049
        assert endpoint.wire.queued_bytes() == 0, "the socket has taken all"
        assert endpoint.fed == []
        await endpoint.until("room")
        assert endpoint.wire.write(b"x")
        assert await bench.receive(client, written + 1) == b"x" * (written + 1)
        assert endpoint.kinds == ["room"]

    bench.run(scenario())


@ONLY_DIRECT
def test_whoever_was_told_to_wait_is_told_so_until_there_is_room(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(tcp, "HIGH_WATER_BYTES", 2048)
    bench.limit()

    async def scenario():
        client, endpoint = await bench.connect(f"{tmp_path}/s", send_buffer=1 << 20)
        sizes, answers = (100_000, 10, 100_000, 10), []
        endpoint.reactions["data"] = lambda: answers.extend(
            endpoint.wire.write(b"x" * size) for size in sizes
        )
        await bench.send(client, b"x")
        await endpoint.until("room")
        assert answers == [False] * 4
        assert endpoint.wire.queued_bytes() == 0, "the socket has taken all"

    bench.run(scenario())


@ONLY_DIRECT
def test_answers_to_many_requests_are_never_held_up(bench, monkeypatch, tmp_path):
    """Between two of them there is a turn."""
    monkeypatch.setattr(tcp, "HIGH_WATER_BYTES", 150_000)
    bench.limit()

    async def scenario():
        client, endpoint = await bench.connect(f"{tmp_path}/s", send_buffer=1 << 20)
        answer, room = b"x" * 100_000, []
        endpoint.reactions["data"] = lambda: room.append(endpoint.wire.write(answer))
        for _ in range(10):
            await bench.send(client, b"x")
            assert await bench.receive(client, len(answer)) == answer
        assert room == [True] * 10
        assert endpoint.kinds == ["data"]

    bench.run(scenario())


def test_a_writer_that_fills_every_room_does_not_hold_up_another(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(tcp, "HIGH_WATER_BYTES", 2048)
    bench.limit()

    async def scenario():
        (reader, endless), (client, other) = [
            await bench.connect(f"{tmp_path}/{name}") for name in ("endless", "other")
        ]
        rooms_before = []

        def go_on() -> None:
            while endless.wire.write(b"x" * 500):
                pass

        other.reactions["data"] = lambda: rooms_before.append(endless.kinds.count("room"))
        go_on()
        await bench.settle()
        endless.reactions["room"] = go_on
        drain_kernel(reader)
        client.send(b"x")
        await other.until("data")
        assert rooms_before[0] <= 3
        endless.reactions.clear()

    bench.run(scenario())
