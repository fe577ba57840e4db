"""The words of options as enumerations, for programs. A test holds them against the model.

Each is a string as well, and plain strings do as well.
"""

from enum import StrEnum


class Interfaces(StrEnum):
    """What the application speaks."""

    ASGI = "asgi"
    ASGINL = "asginl"
    RSGI = "rsgi"
    WSGI = "wsgi"


class HTTPModes(StrEnum):
    """Versions of HTTP to speak."""

    auto = "auto"
    http1 = "1"
    http2 = "2"


class RuntimeModes(StrEnum):
    """Of Granian's runtime; granian-d has none."""

    auto = "auto"
    mt = "mt"
    st = "st"


class Loops(StrEnum):
    """Event loops."""

    auto = "auto"
    asyncio = "asyncio"
    rloop = "rloop"
    uvloop = "uvloop"
    winloop = "winloop"


class TaskImpl(StrEnum):
    """Of Granian's tasks; those of granian-d are asyncio's."""

    asyncio = "asyncio"
    rust = "rust"


class SSLProtocols(StrEnum):
    """Oldest versions of TLS to speak."""

    tls12 = "tls1.2"
    tls13 = "tls1.3"
