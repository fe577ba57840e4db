"""Groups of UDP sockets, seats, and who is steered to them: real sockets, and the kernel chooses."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace

import pytest

from granian_d.engine.connection_ids import KEY_BYTES, issue, mailbox, words_of
from granian_d.errors import ListenError
from granian_d.supervisor import datagrams as room
from granian_d.supervisor.datagrams import NO_SEAT, Datagrams, begin
from granian_d.supervisor.handover import HeldGroup
from granian_d.supervisor.listeners import Listeners, addresses
from granian_d.supervisor.safekeeping import Safekeeping
from granian_d.systemd.activation import InheritedSocket
from granian_d.systemd.fdstore import FdStore
from granian_d.systemd.notify import Notifier
from granian_d.transport.datagrams import read_controls
from tests.unit.plan.specimens import QUIC, daemon_plan, systemd, tcp
from tests.unit.supervisor.processes import in_a_child, open_fds

ONE, TWO, THREE, FOUR = 1, 2, 3, 4  # numbers of workers
NOBODY = 65534


class House:
    """What the room has of the master."""

    def __init__(self, *inherited: InheritedSocket) -> None:
        self.listeners = Listeners(inherited)
        self.safekeeping = Safekeeping(FdStore(Notifier({}, 0)))
        self.reports: list[object] = []

    def report(self, report: object) -> None:
        self.reports.append(report)

    def close(self) -> None:
        self.listeners.close_others(())

    def opens(self, *listeners, into: Datagrams | None = None) -> Datagrams:
        """The room, with the groups of these listeners; their other sockets are open, too."""
        self.listeners.open(listeners)
        made = begin(self) if into is None else into
        made.open(plan(*listeners))
        return made


def plan(*listeners):
    return daemon_plan(*listeners, quic=QUIC)


def secured(*of, **changes):
    return replace(tcp(*of), tls=True, http3=True, **changes)


WEB = secured()


@pytest.fixture
def house():
    made = House()
    yield made
    made.close()


@pytest.fixture
def room_(house):
    made = house.opens(WEB)
    yield made
    made.close()


def sit(made: Datagrams, *numbers: int, listeners=(WEB,), ready: bool = True) -> list:
    berths = []
    for number in numbers:
        berth = made.sit(number, plan(*listeners))
        assert berth is not None
        berth.mailbox.close()
        berths.append(berth)
        if ready:
            made.join(number)
    return berths


def new_connection() -> bytes:
    return b"\xc0\0\0\0\1\x08" + os.urandom(8) + bytes(20)


def short(key: bytes, seat: int) -> bytes:
    return b"\x40" + issue(words_of(key), seat, 1) + bytes(20)


def receivers(made: Datagrams, datagram=new_connection, listener=WEB, times: int = 30) -> set[int]:
    """Seats whose sockets get what is sent."""
    (group,) = made.held()[listener.key]
    with socket.socket(group.sockets[0].family, socket.SOCK_DGRAM) as client:
        for _ in range(times):
            client.sendto(datagram(), group.sockets[0].getsockname())
    found = set()
    for seat, sock in enumerate(group.sockets):
        try:
            while sock.recv(2000):
                found.add(seat)
        except BlockingIOError:
            continue
    return found


# --- opening -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
def test_a_group_has_the_port_of_the_stream_socket(house, host):
    web = secured(host)
    made = house.opens(web)
    (stream,) = house.listeners.sockets([web])
    (group,) = made.held()[web.key]
    for sock in group.sockets:
        assert sock.type == socket.SOCK_DGRAM
        assert sock.getsockname() == stream.getsockname()
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        if ":" in host:
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    url, quic = addresses(plan(web), house.listeners, made)
    assert quic == f"{url} (HTTP/3)"
    made.close()


def test_who_speaks_both_families_does_so_here():
    """As systemd's sockets do, without BindIPv6Only=."""
    with socket.socket(socket.AF_INET6) as stream:
        stream.bind(("::", 0))
        stream.listen()
        house = House(InheritedSocket("web", os.dup(stream.fileno())))
        web = replace(systemd("web"), http3=True)
        made = house.opens(web)
        (group,) = made.held()[web.key]
        assert group.sockets[1].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
        made.close()
        house.close()


def test_what_comes_before_a_worker_reads_tells_where_it_was_sent_to(house):
    made = house.opens(secured("0.0.0.0"))
    ((group,),) = made.held().values()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"early", ("127.0.0.1", group.sockets[0].getsockname()[1]))
    _, controls, _, _ = group.sockets[0].recvmsg(100, 100)
    assert read_controls(controls) == (0, "127.0.0.1")
    made.close()


@pytest.mark.parametrize("shares", [0, 1])
def test_a_port_that_somebody_has_is_named_and_nothing_stays_open(house, room_, shares):
    """Also one of our own user that would share it."""
    free, other = secured("127.0.0.2"), secured("::1")
    house.listeners.open([free, other])
    (stream,) = house.listeners.sockets([other])
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as somebody:
        somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shares)
        somebody.bind(stream.getsockname())
        before = open_fds()
        with pytest.raises(
            ListenError, match=r"tcp:\[::1\]:0 for HTTP/3: UDP port \d+ of ::1: Addr"
        ):
            room_.open(plan(WEB, free, other))
        assert open_fds() == before
    assert set(room_.held()) == {WEB.key}


def test_a_listener_that_stays_keeps_its_group(house, room_):
    before = room_.held()[WEB.key]
    house.opens(WEB, secured("127.0.0.2"), into=room_)
    assert room_.held()[WEB.key] is before
    room_.retain(plan(WEB))
    assert set(room_.held()) == {WEB.key}


# --- seats -------------------------------------------------------------------------------------------


def test_a_berth(room_):
    berth = room_.sit(ONE, plan(WEB))
    assert berth.seat == 0
    assert berth.key == room_.key
    assert len(berth.key) == KEY_BYTES
    ((listener, sock, shared),) = berth.sockets
    assert listener is WEB
    assert sock is room_.held()[WEB.key][0].sockets[0]
    assert not shared
    assert berth.mailbox.getsockname() == mailbox(room_.key, 0)
    assert not berth.mailbox.getblocking()
    assert room_.key.hex() not in repr(berth)
    berth.mailbox.close()


def test_groups_grow_with_the_seats_and_are_never_made_smaller(room_):
    (group,) = room_.held()[WEB.key]
    sit(room_, ONE, TWO, THREE, FOUR)
    assert [room_.seat(number) for number in (ONE, TWO, THREE, FOUR)] == [0, 1, 2, 3]
    assert len(group.sockets) == 4
    for number in (ONE, TWO, THREE, FOUR):
        room_.rise(number)
        assert room_.seat(number) == NO_SEAT
    room_.retain(plan(WEB))
    assert len(group.sockets) == 4


def test_the_successor_of_one_that_died_has_its_seat(room_):
    """Though a reload has left lower ones."""
    sit(room_, ONE, TWO, THREE, FOUR)
    room_.rise(ONE)
    room_.rise(TWO)
    room_.rise(FOUR, died=True)
    five, six = sit(room_, FOUR + 1, FOUR + 2)
    assert (five.seat, six.seat) == (3, 0)
    assert receivers(room_, lambda: short(room_.key, 3)) == {3}


def test_a_mailbox_that_somebody_has_kept_open_is_passed_over(room_):
    kept = room_.sit(ONE, plan(WEB))
    room_.rise(ONE)
    (berth,) = sit(room_, TWO)
    assert berth.seat == 1
    kept.mailbox.close()


def test_who_has_no_http3_has_no_berth(room_):
    assert room_.sit(ONE, plan(tcp())) is None
    assert room_.pattern(plan(tcp())) is None
    room_.join(ONE)
    room_.rise(ONE)
    assert room_.seat(ONE) == NO_SEAT


def test_what_a_mold_knows_of_its_workers_berths(room_):
    sit(room_, ONE)
    pattern = room_.pattern(plan(WEB))
    assert pattern.seat == NO_SEAT
    assert [(one, shared) for one, _, shared in pattern.sockets] == [(WEB, False)]
    assert pattern.mailbox.fileno() == -1


def test_a_child_keeps_its_own_sockets_only(house):
    other = secured("127.0.0.2")
    made = house.opens(WEB, other)
    sit(made, ONE, TWO, listeners=(WEB, other))

    def child() -> None:
        (berth,) = sit(made, THREE, listeners=(WEB, other))
        made.let_go(berth)
        for (group,) in made.held().values():
            assert [sock.fileno() != -1 for sock in group.sockets] == [False, False, True]
        made.let_go()
        assert all(sock.fileno() == -1 for _, sock, _ in berth.sockets)

    assert in_a_child(child) == 0
    made.close()


def test_a_kernel_without_descriptors_gives_no_seat(room_, monkeypatch):
    def refuse(_sock):
        raise OSError(errno.EMFILE, "Too many open files")

    sit(room_, ONE, TWO)
    before = open_fds()
    monkeypatch.setattr(room, "_bind_beside", refuse)
    with pytest.raises(OSError, match="Too many"):
        room_.sit(THREE, plan(WEB))
    assert open_fds() == before
    assert room_.seat(THREE) == NO_SEAT


# --- steering ----------------------------------------------------------------------------------------


def test_new_connections_are_for_those_who_are_ready(room_):
    sit(room_, ONE, TWO, THREE)
    assert receivers(room_) == {0, 1, 2}
    room_.leave(ONE)
    assert receivers(room_) == {1, 2}
    assert receivers(room_, lambda: short(room_.key, 0)) == {0}, "it keeps its own"
    sit(room_, FOUR, ready=False)
    assert receivers(room_) == {1, 2}
    room_.join(FOUR)
    room_.rise(TWO)
    assert receivers(room_) == {2, 3}


def test_while_nobody_is_ready_those_get_them_who_are_there(room_):
    assert receivers(room_) == {0}, "the seat of the first worker, who will read them"
    sit(room_, ONE, TWO, ready=False)
    assert receivers(room_) == {0, 1}
    room_.join(ONE)
    room_.join(TWO)
    room_.leave(ONE)
    room_.leave(TWO)
    assert receivers(room_) == {0, 1}, "who drains tells them so"
    room_.rise(ONE)
    room_.rise(TWO)
    assert receivers(room_) == {0}


def test_a_reload_that_takes_a_listener_away(house, room_):
    """Its group is there until nobody reads it; workers of others are not steered to."""
    other = secured("127.0.0.2")
    house.opens(WEB, other, into=room_)
    sit(room_, ONE, TWO, listeners=(WEB, other))
    sit(room_, THREE, FOUR, listeners=(WEB,))
    room_.leave(ONE)
    room_.leave(TWO)
    room_.retain(plan(WEB))
    assert receivers(room_) == {2, 3}
    assert receivers(room_, listener=other) == {0, 1}
    assert receivers(room_, lambda: short(room_.key, 1), listener=other) == {1}
    room_.rise(ONE)
    assert set(room_.held()) == {WEB.key, other.key}
    room_.rise(TWO)
    assert set(room_.held()) == {WEB.key}


def test_where_the_kernel_takes_no_program_all_read_one_socket(house, monkeypatch):
    """Else its hash would give datagrams to seats that are free."""

    def refuse(_sock, _program):
        raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    monkeypatch.setattr(room, "attach", refuse)
    made = house.opens(WEB, secured("127.0.0.2"))
    berths = sit(made, ONE, TWO, THREE)
    assert [berth.seat for berth in berths] == [0, 1, 2]
    ((_, first, _),) = berths[0].sockets
    assert [berth.sockets for berth in berths] == [((WEB, first, True),)] * 3
    assert [len(group.sockets) for (group,) in made.held().values()] == [1, 1]
    ((event, fields),) = house.reports
    assert event == "steering_failed"
    assert fields == {"reason": "Protocol not available"}
    made.close()


# --- sockets of the service manager ------------------------------------------------------------------


def passed(name: str = "web", address=("127.0.0.1", 0), **options) -> InheritedSocket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, options.get("shares", 0))
    sock.bind(address)
    return InheritedSocket(name, sock.detach())


def listening(name: str = "web") -> InheritedSocket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return InheritedSocket(name, sock.detach())


def inode(thing: object) -> int:
    return os.fstat(thing.fd if isinstance(thing, InheritedSocket) else thing.fileno()).st_ino


NAMED = replace(systemd("web"), tls=True, http3=True)


def test_one_that_was_passed_begins_a_group():
    given = passed()
    house = House(listening(), given, passed("another"))
    made = house.opens(NAMED)
    assert len(house.listeners.sockets([NAMED])) == 1
    (group,) = made.held()[NAMED.key]
    assert not group.shared
    assert inode(group.sockets[0]) == inode(given)
    sit(made, ONE, TWO, THREE, listeners=(NAMED,))
    assert receivers(made, listener=NAMED) == {0, 1, 2}
    assert house.listeners.unread(plan(NAMED)) == ["another"]
    made.close()
    house.close()


def test_two_of_one_address_are_two_seats():
    """ReusePort=yes, and the address twice."""
    first = passed(shares=1)
    with socket.socket(fileno=os.dup(first.fd)) as sock:
        address = sock.getsockname()
    house = House(first, passed(address=address, shares=1), passed())
    made = house.opens(NAMED)
    assert [len(group.sockets) for group in made.held()[NAMED.key]] == [3, 2]
    made.close()
    house.close()


def test_datagrams_alone_are_enough_for_a_listener():
    house = House(passed())
    made = house.opens(NAMED)
    assert house.listeners.sockets([NAMED]) == ()
    assert [one.endswith("(HTTP/3)") for one in addresses(plan(NAMED), house.listeners, made)] == [
        True
    ]
    made.close()
    with pytest.raises(ListenError, match=r"no stream socket \(ListenStream=\) of that name"):
        house.listeners.open([replace(NAMED, key="plain", http3=False)])
    house.close()


def test_one_of_another_user_is_read_by_all():
    """Nothing may be bound beside it: the unit has DynamicUser=, and systemd opened it as root."""
    given = passed()
    house = House(given)

    def child() -> None:
        os.setuid(NOBODY)
        made = house.opens(NAMED)
        (group,) = made.held()[NAMED.key]
        assert group.shared
        assert group.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
        one, two = sit(made, ONE, TWO, listeners=(NAMED,))
        assert [berth.seat for berth in (one, two)] == [0, 1]
        for berth in (one, two):
            assert [(inode(sock), shared) for _, sock, shared in berth.sockets] == [
                (inode(given), True)
            ]

    assert in_a_child(child) == 0
    house.close()


def test_one_beside_which_nothing_can_be_bound_for_now(monkeypatch):
    def refuse(_sock):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(room, "_bind_beside", refuse)
    house = House(passed())
    before = open_fds()
    with pytest.raises(ListenError, match="systemd:web for HTTP/3: Too many open files"):
        house.opens(NAMED)
    assert open_fds() == before
    house.close()


def test_a_port_that_systemd_should_open():
    house = House(listening())
    ((stream,),) = [house.listeners.sockets([NAMED]) for _ in house.listeners.open([NAMED])]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
        somebody.bind(stream.getsockname())
        with pytest.raises(
            ListenError, match="in use; ListenDatagram= in its unit has systemd open"
        ):
            house.opens(NAMED)
    house.close()


# --- the programs before and after -------------------------------------------------------------------


def test_the_next_program_goes_on(house, room_):
    sit(room_, ONE, TWO, THREE)
    room_.leave(ONE)
    held = [
        HeldGroup(
            key=key, sockets=tuple(os.dup(s.fileno()) for s in group.sockets), shared=group.shared
        )
        for key, (group,) in room_.held().items()
    ]
    words = {number: room_.seat(number) for number in (ONE, TWO, THREE)}
    room_.close()
    made = Datagrams(house, room_.key)
    made.adopt(held)
    for number, seat in words.items():
        made.resume(number, seat, takes=number != ONE)
    assert receivers(made) == {1, 2}, "by the old program"
    sit(made, FOUR)
    assert made.seat(FOUR) == 3
    assert receivers(made) == {1, 2, 3}
    assert receivers(made, lambda: short(made.key, 0)) == {0}
    made.close()


def test_the_key_is_kept_over_a_restart(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, os.getpid())
        house = House()
        house.safekeeping = Safekeeping(FdStore(notifier))
        made = begin(house)
        manager.settimeout(10)
        told = []
        while not told or b"FDSTORE=1" not in told[-1][0]:
            told.append(socket.recv_fds(manager, 4096, 1)[:2])
        assert told[-1][0] == b"FDSTORE=1\nFDNAME=granian-d.quic"
        house.safekeeping = Safekeeping(
            FdStore(notifier, [InheritedSocket("granian-d.quic", told[-1][1][0])])
        )
        manager.setblocking(False)
        assert begin(house).key == made.key
        with pytest.raises(BlockingIOError):
            manager.recv(100)  # it has it
        assert begin(House()).key != made.key
        notifier.close()
