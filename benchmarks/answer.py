"""Whether a server answers a case rightly, before it is measured."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Final

from benchmarks.running import Failed

if TYPE_CHECKING:
    from benchmarks.cases import Case

PATIENCE_S: Final = 10.0  # a worker may still be importing the application


def check(case: Case, port: int) -> None:
    """Ask twice, on one connection if the server keeps it.

    Raises:
        Failed: no answer, another status than 200, or another body.
    """
    peer = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    method = "GET" if case.body is None else "POST"
    try:
        for _ in range(2):
            peer.request(method, case.path, case.body)
            response = peer.getresponse()
            body = response.read()
            if response.status != http.client.OK:
                raise Failed(f"answers {method} {case.path} with {response.status}")
            if body != case.answer:
                raise Failed(f"answers {method} {case.path} with a wrong body of {len(body)} bytes")
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"answers {method} {case.path} with {error!r}") from error
    finally:
        peer.close()
