"""What an environ says of TLS, with the names that mod_ssl gave to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from granian_d.http.message import TlsFacts

_PROTOCOLS: Final = {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


def tls_variables(facts: TlsFacts) -> dict[str, str]:
    """The variables of one connection. What is not known is not there."""
    variables = {
        "HTTPS": "on",
        "SSL_PROTOCOL": _PROTOCOLS.get(facts.version, ""),
        "SSL_CIPHER": facts.cipher_name,
        "SSL_TLS_SNI": facts.server_name,
        "SSL_CLIENT_VERIFY": "SUCCESS" if facts.client_chain else "NONE",
        "SSL_CLIENT_CERT": facts.client_chain[0] if facts.client_chain else "",
        # Text in an environ is bytes in disguise (PEP 3333, "Unicode Issues").
        "SSL_CLIENT_S_DN": facts.client_name.encode().decode("latin-1"),
    }
    return {name: value for name, value in variables.items() if value}
