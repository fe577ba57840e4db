"""Connection ids: whose they are, and what they tell to nobody else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from granian_d.engine import connection_ids as ids

KEYS = st.binary(min_size=ids.KEY_BYTES, max_size=ids.KEY_BYTES)
SEATS = st.integers(0, ids.MOST_SEATS - 1)


@given(KEYS, SEATS, st.integers(0, 100_000))
def test_an_id_names_its_owner(key, seat, generation):
    words = ids.words_of(key)
    made = ids.issue(words, seat, generation)
    assert len(made) == ids.ID_BYTES
    assert ids.owner_of(words, made) == (seat, generation % 256)


@given(KEYS, st.binary(max_size=20))
def test_what_somebody_else_has_made_is_nobodys_or_of_a_seat(key, octets):
    owner = ids.owner_of(ids.words_of(key), octets)
    assert owner is None or (len(octets) == ids.ID_BYTES and 0 <= owner.seat < ids.MOST_SEATS)


def test_a_foreign_id_is_taken_for_ours_as_rarely_as_the_mark_is_long():
    words, others = ids.words_of(bytes(ids.KEY_BYTES)), ids.words_of(b"x" * ids.KEY_BYTES)
    taken = sum(ids.owner_of(words, ids.issue(others, 1, 1)) is not None for _ in range(20_000))
    assert taken < 20_000 / 2**ids.MARK_BITS * 5


def test_ids_of_one_worker_have_nothing_in_common():
    words = ids.words_of(bytes(range(ids.KEY_BYTES)))
    made = [ids.issue(words, 3, 7) for _ in range(500)]
    for at in range(ids.ID_BYTES):
        assert len({one[at] for one in made}) > 100, "an octet that is the same in most of them"


@given(KEYS, st.binary(min_size=12, max_size=12))
def test_keys_of_different_purposes_differ(key, octets):
    one, other = ids.derive(key, "one", 32), ids.derive(key, "other", 32)
    assert one != other
    assert ids.reset_token(one, octets) != ids.reset_token(other, octets)
    assert len(ids.reset_token(one, octets)) == ids.RESET_TOKEN_BYTES


def test_mailboxes_differ_by_key_and_by_seat():
    one, other = bytes(32), bytes(range(32))
    names = {ids.mailbox(one, 1), ids.mailbox(one, 2), ids.mailbox(other, 1)}
    assert len(names) == 3
    assert all(name[:1] == b"\0" and len(name) <= 108 for name in names)
