"""What a request is called in all logs that tell of it: its X-Request-ID.

What the client or a proxy has sent is believed as long as it is harmless; a proxy that wants to be
the only one to say it sets the field itself. Else one is made, as long as an id of a trace (W3C
Trace Context 3.2.2.3), and put into the request's fields: the application reads there what stands
in the log.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from granian_d.http.message import RequestHead

FIELD: Final = b"x-request-id"
MADE_BYTES: Final = 16
_HARMLESS: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


def of(head: RequestHead) -> str:
    """The id of a request, which its fields hold from now on."""
    if (brought := brought_by(head)) is not None:
        return brought
    made = os.urandom(MADE_BYTES).hex()
    others = [pair for pair in head.fields if pair[0] != FIELD]
    head.fields = [*others, (FIELD, made.encode())]
    return made


def brought_by(head: RequestHead) -> str | None:
    """The id that a request has brought along; None without one that can be used."""
    for name, value in head.fields:
        if name == FIELD:
            return value.decode("ascii") if _HARMLESS.fullmatch(value) else None
    return None
