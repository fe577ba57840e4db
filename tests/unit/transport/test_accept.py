"""Accepting: as far as there is room, whatever errors come, and the last sweep."""

from __future__ import annotations

import errno
import os
import resource
import socket

import pytest

from granian_d.transport import accept
from tests.unit.transport.house import reset, tcp_listener


def test_a_burst_is_taken_in_several_turns(run):
    async def story(house):
        clients = [await house.dial() for _ in range(3 * accept.BATCH + 1)]
        house.acceptor.arm()
        await house.until(lambda: len(house.endpoints) == len(clients))
        await house.all_made()

    run(story)


def test_nothing_is_taken_before_it_is_armed_nor_after_it_is_disarmed(run):
    async def story(house):
        await house.dial()
        await house.turns()
        assert not house.endpoints
        house.acceptor.arm()
        await house.until(lambda: len(house.endpoints) == 1)
        await house.all_made()
        house.acceptor.disarm()
        await house.dial()
        await house.turns()
        assert len(house.endpoints) == 1
        house.acceptor.arm()
        house.acceptor.arm()
        await house.until(lambda: len(house.endpoints) == 2)

    run(story)


@pytest.mark.parametrize("room", [1, 2, 5])
def test_there_are_never_more_than_there_is_room_for(run, room):
    async def story(house):
        clients = [await house.dial() for _ in range(room + 3)]
        house.acceptor.arm()
        await house.until(lambda: len(house.connections.open) == room)
        await house.turns(20)
        assert len(house.endpoints) == room
        for served, client in enumerate(clients[:3], room + 1):
            reset(client)
            await house.until(lambda served=served: len(house.endpoints) == served)
        await house.until(lambda: len(house.connections.open) == room)
        assert max(house.counts) == room

    run(story, room=room)


def test_the_sweep_takes_the_queue_and_then_nobody_comes(run):
    async def story(house):
        for _ in range(3 * accept.BATCH):
            await house.dial()
        house.acceptor.close()
        assert house.acceptor.starting + len(house.connections.open) == 3 * accept.BATCH
        await house.until(lambda: len(house.endpoints) == 3 * accept.BATCH)
        with pytest.raises(ConnectionRefusedError):
            await house.dial()
        house.acceptor.close()

    run(story)


def test_a_place_that_becomes_free_after_the_sweep_is_not_filled(run):
    async def story(house):
        shared = socket.socket(fileno=os.dup(house.listener.fileno()))  # another worker's
        client = await house.dial()
        house.acceptor.close()
        await house.until(lambda: len(house.endpoints) == 1)
        await house.dial()
        reset(client)
        await house.until(lambda: not house.connections.open)
        house.acceptor.count_changed(0)
        await house.turns()
        assert len(house.endpoints) == 1
        shared.accept()[0].close()  # the other worker finds it
        shared.close()

    run(story, room=1)


def test_the_sweep_of_an_empty_queue_takes_nothing(run):
    async def story(house):
        house.acceptor.arm()
        house.acceptor.close()
        assert house.acceptor.starting == 0

    run(story)


class Stumbling(socket.socket):
    """A listener whose accept fails with these errors first."""

    errors: tuple[int, ...] = ()

    def accept(self):
        if self.errors:
            number, *rest = self.errors
            self.errors = tuple(rest)
            raise OSError(number, os.strerror(number))
        return super().accept()


def stumbling(*errors: int) -> Stumbling:
    plain = tcp_listener()
    sock = Stumbling(fileno=plain.detach())
    sock.errors = errors
    sock.setblocking(False)
    return sock


@pytest.mark.parametrize(
    "number", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.EHOSTUNREACH]
)
def test_a_connection_that_died_in_the_queue_is_passed_over(run, number):
    async def story(house):
        await house.meet()
        assert not house.failures

    run(story, listener=stumbling(number))


@pytest.mark.parametrize("number", [errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL])
def test_an_error_that_only_time_mends_is_told_and_tried_again(run, number):
    async def story(house):
        await house.meet()
        assert [error.errno for error in house.failures] == [number, number]

    run(story, listener=stumbling(number, number))


def test_no_descriptors_left_and_then_some(run):
    async def story(house):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        await house.dial()
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            house.acceptor.arm()
            while not house.failures:
                await house.turns()
            assert house.failures[0].errno == errno.EMFILE
            assert not house.endpoints
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await house.until(lambda: len(house.endpoints) == 1)

    run(story)


def test_a_suspended_acceptor_that_is_closed_stays_closed(run):
    async def story(house):
        house.acceptor.arm()
        await house.dial()
        while not house.failures:
            await house.turns()
        house.acceptor.close()
        await house.until(lambda: len(house.endpoints) == 1)
        house.acceptor._resume()
        await house.turns()
        assert len(house.failures) == 1

    run(story, listener=stumbling(errno.ENOMEM))
