"""What is read out of a certificate, held against the library that wrote it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.transport.x509 import read_certificate
from tests.certificates import NOW, Authority

AUTHORITY = Authority()
ISSUED = AUTHORITY.issue("example.org")
DAY_S = 86400


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("example.org",),
        ("*.example.org", "Example.org", "127.0.0.1", "::1"),
        tuple(f"host-{number}.example.org" for number in range(200)),  # lengths of three octets
    ],
)
def test_names_are_the_dns_names(names):
    issued = AUTHORITY.issue(*names)
    wanted = tuple(n.lower() for n in names if n not in {"127.0.0.1", "::1"})
    assert read_certificate(issued.pem).names == wanted


@pytest.mark.parametrize(
    "days", [-3, 30, 365 * 30, 365 * 200]
)  # from 2050 on the time has 4 digits
def test_the_end_of_validity(days):
    issued = AUTHORITY.issue("example.org", days=days)
    assert read_certificate(issued.pem).not_after == NOW.timestamp() + days * DAY_S


def test_the_first_certificate_of_a_chain_counts():
    issued = AUTHORITY.issue("example.org", kind="rsa")
    read = read_certificate(b"# ours\n" + issued.pem + AUTHORITY.pem)
    assert read.names == ("example.org",)
    assert read.pem.encode() == issued.pem


def test_no_certificate():
    with pytest.raises(ValueError, match="holds no certificate"):
        read_certificate(b"-----BEGIN PRIVATE KEY-----")


@given(st.data())
def test_damage_is_a_value_error(data):
    """And nothing else, whatever the octets are."""
    lines = ISSUED.pem.decode().splitlines()
    letters = list("".join(lines[1:-1]))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(letters) - 1))
        letters[at] = data.draw(st.sampled_from("ABCxyz019+/="))
    text = "\n".join([lines[0], "".join(letters), lines[-1]])
    try:
        read = read_certificate(text.encode())
    except ValueError:
        return
    assert all(isinstance(name, str) for name in read.names)
