"""A peer goes in two steps: it closes its direction, then the connection is lost."""

from __future__ import annotations

from granian_d.http.exchange import Exchange
from granian_d.http.message import Peer, RequestHead


def exchange() -> Exchange:
    head = RequestHead("GET", b"/", b"", b"x", "1.1", [(b"host", b"x")], 0, False)
    return Exchange(head, Peer(("192.0.2.1", 1), ("192.0.2.2", 80)), observer=None)


def test_who_waits_between_the_steps_is_woken_by_the_second():
    woken = []
    it = exchange()
    it.when_gone(lambda: woken.append("gone"))
    it.feed_gone()
    it.when_room(lambda: woken.append("room"))
    it.when_readable(lambda: woken.append("readable"))
    it.feed_gone()
    assert sorted(woken) == ["gone", "readable", "room"]
    it.feed_gone()
    assert len(woken) == 3
