"""Which socket of a group the kernel gives a datagram to: a classic BPF program, as data.

The UDP sockets of an address are one SO_REUSEPORT group, in which socket i is that of seat i. The
program reads the destination connection id, whose place in both forms of header is the same in
all versions of QUIC (RFC 8999 5), and computes what engine.connection_ids does:

    an id of ours, of a seat that has a socket   that seat
    all else: a client's own choice of an id     one of the seats that take new connections

It is advice: who gets a datagram that is another's passes it on. The kernel asks for no privilege,
and takes what linux/filter.h describes. Knows no loop: the master uses it.
"""

from __future__ import annotations

import socket
import struct
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.engine.connection_ids import GENERATION_BITS, ID_BYTES, SEAT_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from granian_d.engine.connection_ids import Words

MOST_INSTRUCTIONS: Final = 4096  # BPF_MAXINSNS

_ATTACH: Final = 51  # SO_ATTACH_REUSEPORT_CBPF of asm-generic/socket.h; Python has no name for it

# What an instruction does (linux/bpf_common.h): A is what is reckoned with, X is beside it.
_LENGTH: Final = 0x80  # A = length of the datagram: BPF_LD | BPF_W | BPF_LEN
_OCTET: Final = 0x30  # A = octet k: BPF_LD | BPF_B | BPF_ABS
_WORD: Final = 0x40  # A = the 4 octets at X + k: BPF_LD | BPF_W | BPF_IND
_RECALL: Final = 0x60  # A = M[k]: BPF_LD | BPF_MEM
_PUT_X: Final = 0x01  # X = k: BPF_LDX | BPF_IMM
_RECALL_X: Final = 0x61  # X = M[k]: BPF_LDX | BPF_MEM
_KEEP: Final = 0x02  # M[k] = A: BPF_ST
_ADD: Final = 0x04  # A += k: BPF_ALU | BPF_ADD
_TIMES: Final = 0x24  # A *= k: BPF_ALU | BPF_MUL
_RIGHT: Final = 0x74  # A >>= k: BPF_ALU | BPF_RSH
_AND: Final = 0x54  # A &= k: BPF_ALU | BPF_AND
_MODULO: Final = 0x94  # A %= k: BPF_ALU | BPF_MOD
_XOR_X: Final = 0xAC  # A ^= X: BPF_ALU | BPF_XOR | BPF_X
_GO: Final = 0x05  # pass over k: BPF_JMP | BPF_JA
_IF_IS: Final = 0x15  # A == k: BPF_JMP | BPF_JEQ
_IF_FROM: Final = 0x35  # A >= k: BPF_JMP | BPF_JGE
_IF_ANY: Final = 0x45  # A & k: BPF_JMP | BPF_JSET
_ANSWER: Final = 0x06  # k: BPF_RET
_ANSWER_A: Final = 0x16  # A: BPF_RET | BPF_A

_LONGEST_JUMP: Final = 255  # of a comparison; _GO reaches everywhere

_LONG: Final = 0x80  # of the first octet: the form of the header (RFC 8999 5.1)
_LENGTH_AT: Final = 5  # of the id, in a long header: behind the version
_LONG_ID_AT: Final = 6
_SHORT_ID_AT: Final = 1
_LEAST_BYTES: Final = _LONG_ID_AT + ID_BYTES  # of a datagram in which both forms can be read

_MIXED: Final = 0  # places in the program's memory
_MARKED: Final = 1


class Instruction(NamedTuple):
    """One step: struct sock_filter.

    Attributes:
        code: what it does.
        then: so many steps are passed over if a comparison holds.
        otherwise: and if it does not.
        k: its number.
    """

    code: int
    then: int
    otherwise: int
    k: int


Program = tuple[Instruction, ...]


def steer(words: Words, takers: Sequence[int], sockets: int) -> Program:
    """The program of a group.

    Args:
        words: of the daemon's QUIC key.
        takers: seats that take new connections, at least one, each below `sockets`.
        sockets: of the group.
    """
    seats = sorted(takers)
    spread = (
        _do(_RECALL, _MIXED),
        _do(_RIGHT, 16),  # these hang on all bits of the id, and nobody outside can aim by them
        _do(_MODULO, len(seats)),
        *_choose(_runs(seats)),
    )
    to_seat = (
        _do(_RECALL, _MARKED),
        _do(_RIGHT, GENERATION_BITS),
        _do(_AND, (1 << SEAT_BITS) - 1),
        _if(_IF_FROM, sockets, 1),  # a client's own choice that looks like an id of ours
        _do(_ANSWER_A),
    )
    decode = (
        *_mix(words),
        _do(_WORD, 4),
        _do(_RECALL_X, _MIXED),
        _do(_XOR_X),
        _do(_KEEP, _MARKED),
        _do(_RIGHT, SEAT_BITS + GENERATION_BITS),
        _if(_IF_IS, words.mark, 0, otherwise=len(to_seat)),
    )
    odd = (*_mix(words), _do(_GO, len(decode) + len(to_seat)))  # an id of another length
    long = (
        _do(_PUT_X, _LONG_ID_AT),
        _do(_OCTET, _LENGTH_AT),
        _if(_IF_IS, ID_BYTES, len(odd)),
    )
    short = (_do(_PUT_X, _SHORT_ID_AT), _do(_GO, len(long) + len(odd)))
    head = (
        _do(_LENGTH),
        _if(_IF_FROM, _LEAST_BYTES, 1),
        _do(_ANSWER, seats[0]),
        _do(_OCTET, 0),
        _if(_IF_ANY, _LONG, len(short)),
    )
    return (*head, *short, *long, *odd, *decode, *to_seat, *spread)


def attach(sock: socket.socket, program: Program) -> None:
    """Have the kernel ask this program for the whole group of a socket, from the next datagram on.

    Raises:
        OSError: it does not take it, or the socket is alone: a group begins with two.
    """
    octets = array("B", b"".join(struct.pack("=HBBI", *step) for step in program))
    address, _ = octets.buffer_info()
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH, struct.pack("@HP", len(program), address))


def _do(code: int, k: int = 0) -> Instruction:
    return Instruction(code, 0, 0, k)


def _if(code: int, k: int, then: int, otherwise: int = 0) -> Instruction:
    return Instruction(code, then, otherwise, k)


def _mix(words: Words) -> tuple[Instruction, ...]:
    """M = what hides the second word of an id at X, from the first one."""
    return (
        _do(_WORD, 0),
        _do(_TIMES, words.factor),
        _do(_ADD, words.term),
        _do(_KEEP, _MIXED),
    )


class _Run(NamedTuple):
    """Seats in a row.

    Attributes:
        number: of the first one, among those to choose from.
        seat: the first one.
        width: how many.
    """

    number: int
    seat: int
    width: int


def _runs(seats: Sequence[int]) -> list[_Run]:
    first = [
        number for number, seat in enumerate(seats) if not number or seats[number - 1] != seat - 1
    ]
    behind = (*first[1:], len(seats))
    return [
        _Run(number, seats[number], end - number) for number, end in zip(first, behind, strict=True)
    ]


def _choose(runs: Sequence[_Run]) -> list[Instruction]:
    """Answer the seat of number A, by halves: a program knows no table."""
    if len(runs) == 1:
        (run,) = runs
        if run.width == 1:
            return [_do(_ANSWER, run.seat)]
        return [_do(_ADD, (run.seat - run.number) & 0xFFFFFFFF), _do(_ANSWER_A)]
    middle = len(runs) // 2
    lower, upper = _choose(runs[:middle]), _choose(runs[middle:])
    first = runs[middle].number
    if len(lower) <= _LONGEST_JUMP:
        return [_if(_IF_FROM, first, len(lower)), *lower, *upper]
    return [_if(_IF_FROM, first, 1), _do(_GO, len(upper)), *upper, *lower]
