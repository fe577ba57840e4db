"""What all three applications answer with, and what the harness expects of them."""

from __future__ import annotations

import os
from typing import Final

HELLO: Final = b"Hello, world!"
TEN_KIB: Final = b"0123456789abcdef" * 640
ONE_MIB: Final = b"0123456789abcdef" * 65536
PAUSE_S: Final = 0.01

FILE: Final = os.environ.get("BENCH_FILE", "")
FILE_BYTES: Final = 50 * 1024
