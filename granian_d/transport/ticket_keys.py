"""The key under which session tickets are sealed (RFC 5077, RFC 8446 4.6.1): put into a context.

All workers must have the same key, or a client that comes back meets a worker that cannot read its
ticket. OpenSSL makes one of its own for each context, and the ssl module has no word for it. So
SSL_CTX_ctrl is called here, in the very library that the ssl module is linked with, on the SSL_CTX
that an SSLContext holds. Where that cannot be proved to be one, nothing is written.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

KEY_BYTES: Final = 80  # a name of 16, a key for the MAC of 32 and one for the cipher of 32

# openssl/tls1.h, openssl/ssl.h
_SET_TICKET_KEYS: Final = 59
_GET_MIN_PROTO_VERSION: Final = 130

# struct PySSLContext begins with PyObject_HEAD and, behind it, SSL_CTX *ctx (Modules/_ssl.c).
_CTX_OFFSET: Final = object.__basicsize__


def find_control() -> Callable[[int, int, int, bytes | None], int] | None:
    """SSL_CTX_ctrl of the ssl module's library; None where it cannot be had.

    A statically linked library shows its functions to nobody, and another copy of it, which may lie
    about, must not be asked.
    """
    file = getattr(_ssl, "__file__", None)
    if file is None:
        return None
    try:
        control = ctypes.CDLL(file).SSL_CTX_ctrl
    except (OSError, AttributeError):
        return None
    control.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
    control.restype = ctypes.c_long
    found: Callable[[int, int, int, bytes | None], int] = control
    return found


def set_ticket_keys(context: ssl.SSLContext, keys: bytes) -> bool:
    """Seal the tickets of `context` with `keys`, 80 octets; whether that was possible.

    Before anything is written, the pointer has to say of the context what the ssl module says, for
    two values of it, and the library to name the length of the keys.
    """
    control = find_control()
    if control is None:
        return False
    pointer = ctypes.c_void_p.from_address(id(context) + _CTX_OFFSET).value or 0
    wanted = context.minimum_version
    try:
        for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
            context.minimum_version = version
            if control(pointer, _GET_MIN_PROTO_VERSION, 0, None) != version:
                return False
    finally:
        context.minimum_version = wanted
    if control(pointer, _SET_TICKET_KEYS, 0, None) != KEY_BYTES:
        return False
    return control(pointer, _SET_TICKET_KEYS, KEY_BYTES, keys) == 1
