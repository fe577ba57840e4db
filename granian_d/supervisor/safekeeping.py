"""What the service manager keeps for us beside the listeners: the scoreboard, so that counts go on
over a restart; the key of session tickets, so that sessions do; that of QUIC, so that clients whose
connections are lost can be told.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from granian_d.control.channel import sealed_memory
from granian_d.systemd.fdstore import QUIC_KEY, SCOREBOARD, TICKETS

if TYPE_CHECKING:
    from granian_d.observe.scoreboard import Scoreboard
    from granian_d.supervisor.certificates import Tickets
    from granian_d.systemd.fdstore import FdStore

MOST_TICKET_BYTES = 1024
MOST_KEY_BYTES = 64


class Safekeeping:
    """What is in the manager's store, and what came back from there.

    Args:
        store: of the manager.
    """

    __slots__ = ("_kept", "_store", "_tickets")

    def __init__(self, store: FdStore) -> None:
        self._store = store
        self._kept: Tickets | None = None  # that are in the store now
        self._tickets: Tickets | None = None  # of the program before this one

    def begin(self, scoreboard: Scoreboard) -> None:
        """The first plan is in use: what came back and was not wanted is dropped."""
        self._store.drop_rest()
        self._store.put(SCOREBOARD, scoreboard.fd)

    def take_tickets(self) -> Tickets | None:
        """Those of the program before this one, if there are any."""
        stored = self._store.take(TICKETS)
        if stored is not None:
            # Only a plan with TLS comes here, and the module brings OpenSSL along.
            from granian_d.supervisor.certificates import decode_tickets  # noqa: PLC0415 - as above

            try:
                self._tickets = decode_tickets(os.pread(stored.fd, MOST_TICKET_BYTES, 0))
            except OSError:  # it is no file: somebody else's, whom we do not know
                self._tickets = None
            finally:
                os.close(stored.fd)
        return self._tickets

    def give_tickets(self, tickets: Tickets | None) -> None:
        """Those of this process' last program, which need not come from the store."""
        self._tickets = tickets

    def keep_tickets(self, tickets: Tickets | None) -> None:
        """Have these kept in place of those before."""
        if tickets == self._kept or not self._store.exists:
            return
        self._kept = tickets
        if tickets is None:
            self._store.remove(TICKETS)
            return
        from granian_d.supervisor.certificates import encode_tickets  # noqa: PLC0415 - as above

        fd = sealed_memory(encode_tickets(tickets))
        self._store.put(TICKETS, fd, replace=True)
        os.close(fd)

    def take_quic_key(self) -> bytes:
        """That of the program before this one; b"" where there is none."""
        stored = self._store.take(QUIC_KEY)
        if stored is None:
            return b""
        try:
            return os.pread(stored.fd, MOST_KEY_BYTES, 0)
        except OSError:  # it is no file: somebody else's, as above
            return b""
        finally:
            os.close(stored.fd)

    def keep_quic_key(self, key: bytes) -> None:
        """Have this one kept."""
        if self._store.exists:
            fd = sealed_memory(key)
            self._store.put(QUIC_KEY, fd, replace=True)
            os.close(fd)

    def flush(self) -> None:
        """Tell the manager what it did not take before."""
        self._store.flush()

    def close(self) -> None:
        """In a child: nothing of it is its own."""
        self._store.close()
