"""Several connections in one turn of the loop: what one does must not meet another's events."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from tests.unit.transport.bench import Bench
from tests.unit.transport.house import reset

ONLY_DIRECT = pytest.mark.parametrize("transport", ["direct"], indirect=True)
LONG_NS = 1_000_000
ROUNDS = 300  # more connections than one batch of events


async def ready_together(bench) -> tuple:
    """Two connections that have data in the same turn."""
    (one, first), (two, second) = await bench.connect(), await bench.connect()
    await bench.settle()
    one.send(b"1")
    two.send(b"2")
    return first, second


@pytest.mark.parametrize("order", ["abort", "finish"])
def test_the_first_may_end_the_second(bench, order):
    async def scenario():
        first, second = await ready_together(bench)
        first.reactions["data"] = getattr(second.wire, order)
        second.reactions["data"] = getattr(first.wire, order)
        await bench.settle()
        expected = ["lost"] if order == "abort" else []
        assert sorted([first.kinds, second.kinds]) == sorted([["data"], expected])

    bench.run(scenario())


def test_the_first_may_write_to_the_second(bench):
    async def scenario():
        (one, first), (two, second) = await bench.connect(), await bench.connect()

        def speak(me, other, name):
            me.wire.write(name + b" to itself, ")
            other.wire.write(name + b" to the other, ")

        first.reactions["data"] = lambda: speak(first, second, b"first")
        second.reactions["data"] = lambda: speak(second, first, b"second")
        one.send(b".")
        two.send(b".")
        at_one = await bench.receive(one, len(b"first to itself, second to the other, "))
        at_two = await bench.receive(two, len(b"second to itself, first to the other, "))
        assert sorted(at_one.split(b", ")) == [b"", b"first to itself", b"second to the other"]
        assert sorted(at_two.split(b", ")) == [b"", b"first to the other", b"second to itself"]

    bench.run(scenario())


def test_who_is_cut_behind_an_answer_has_sent_it(bench):
    async def scenario():
        (one, first), (two, second) = await bench.connect(), await bench.connect()
        await bench.settle()
        first.reactions["data"] = lambda: first.wire.write(b"answer")
        second.reactions["data"] = first.wire.abort
        one.send(b"1")
        two.send(b"2")  # in the same turn, behind the other
        assert await bench.receive(one, 6) == b"answer"
        await first.until("lost")

    bench.run(scenario())


def test_nobody_waits_behind_a_slow_one(bench):
    """Answers of one turn leave together, unless an application takes its time between them."""
    there = []

    async def scenario():
        pairs = [await bench.connect() for _ in range(3)]
        await bench.settle()
        (one, first), (two, second), (three, third) = pairs

        def take_long() -> None:
            began_ns = time.monotonic_ns()
            while time.monotonic_ns() - began_ns < LONG_NS:
                pass
            second.wire.write(b"second")

        first.reactions["data"] = lambda: first.wire.write(b"first")
        second.reactions["data"] = take_long
        third.reactions["data"] = lambda: there.extend(
            client.recv(10, socket.MSG_DONTWAIT) for client in (one, two)
        )
        for client in (one, two, three):
            client.send(b"x")
        await third.until("data")

    bench.run(scenario())
    assert there == [b"first", b"second"]


@pytest.mark.parametrize("end", [reset, lambda client: client.close()])
def test_a_peer_may_go_while_its_data_waits(bench, end):
    async def scenario():
        client, endpoint = await bench.connect()
        await bench.settle()
        client.send(b"last words")
        end(client)
        endpoint.reactions["eof"] = endpoint.wire.finish
        await endpoint.until("lost")
        assert endpoint.kinds[-1] == "lost"
        assert endpoint.kinds.count("lost") == 1

    bench.run(scenario())


def test_an_endpoint_may_cut_its_connection_in_the_middle_of_many_reads(bench):
    async def scenario():
        client, endpoint = await bench.connect()
        endpoint.wire.pause()
        await bench.send(client, b"x" * 100_000)
        endpoint.reactions["data"] = endpoint.wire.abort
        endpoint.wire.resume()
        await endpoint.until("lost")
        assert [kind for kind, *_ in endpoint.fed] == ["data", "lost"]

    bench.run(scenario())


def test_more_events_than_a_batch_holds(run):
    async def story(house):
        for _ in range(ROUNDS):
            await house.meet()
        for client in house.clients:
            client.send(b"x")
        await house.until(lambda: all(e.received == b"x" for e in house.endpoints))
        for client in house.clients:
            assert await house.loop.sock_recv(client, 10) == b"y"
            reset(client)
        await house.until(lambda: not house.connections.open)
        assert all(e.fed[-1] == ("lost",) for e in house.endpoints)

    run(story, room=ROUNDS + 1, on_data=lambda endpoint, _: endpoint.wire.write(b"y"))


@ONLY_DIRECT
@pytest.mark.parametrize("outer", ["an event", "another look"])
def test_a_turn_within_a_turn_does_not_mix_answers(transport, outer):
    """Applications have been seen that run the loop inside a callback.

    asyncio lets no callback run within itself, but the poll has two.
    """
    with asyncio.Runner() as runner:
        bench = Bench(runner, transport)

        async def scenario():
            (one, first), (two, second) = await bench.connect(), await bench.connect()

            async def hold_data(client, endpoint) -> None:
                endpoint.wire.pause()
                client.send(b"x")
                await bench.settle()

            def answer_after_a_turn() -> None:
                first.wire.write(b"for the first")
                if outer == "an event":
                    second.wire.resume()
                else:
                    two.send(b"x")
                    bench.loop.call_soon(lambda: None)  # so that the turn does not wait
                bench.loop._run_once()

            first.reactions["data"] = answer_after_a_turn
            second.reactions["data"] = lambda: second.wire.write(b"for the second")
            if outer == "an event":
                await hold_data(two, second)
                one.send(b"x")
            else:
                await hold_data(one, first)
                first.wire.resume()
            assert await bench.receive(one, 13) == b"for the first"
            assert await bench.receive(two, 14) == b"for the second"

        bench.run(scenario())
        bench.close()
