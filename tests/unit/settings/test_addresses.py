"""The grammar of listen addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.settings.addresses import FORMS, Address, parse_address, split_listen
from granian_d.settings.refusal import Refusal


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", Address(kind="tcp", host="127.0.0.1", port=8000)),
        ("0.0.0.0:0", Address(kind="tcp", host="0.0.0.0", port=0)),
        ("[::1]:8000", Address(kind="tcp", host="::1", port=8000)),
        ("[fe80::1%eth0]:80", Address(kind="tcp", host="fe80::1%eth0", port=80)),
        ("example.org:80", Address(kind="tcp", host="example.org", port=80)),
        ("localhost:65535", Address(kind="tcp", host="localhost", port=65535)),
        (":8000", Address(kind="tcp", port=8000)),
        ("unix:/run/x.sock", Address(kind="unix", path="/run/x.sock")),
        ("unix:x.sock", Address(kind="unix", path="x.sock")),
        ("unix:@abstract", Address(kind="unix", path="@abstract")),
        ("fd:3", Address(kind="fd", fd=3)),
        ("systemd:http", Address(kind="systemd", name="http")),
        ("systemd:app@1.socket", Address(kind="systemd", name="app@1.socket")),
        ("systemd", Address(kind="systemd")),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", f'"" has no port; addresses are {FORMS}'),
        ("localhost", f'"localhost" has no port; addresses are {FORMS}'),
        ("8000", f'"8000" has no port; addresses are {FORMS}'),
        ("localhost:", '"localhost:" has no port from 0 to 65535'),
        ("localhost:http", '"localhost:http" has no port from 0 to 65535'),
        ("localhost:65536", '"localhost:65536" has no port from 0 to 65535'),
        ("localhost:-1", '"localhost:-1" has no port from 0 to 65535'),
        ("localhost:8_0", '"localhost:8_0" has no port from 0 to 65535'),
        ("::1:8000", '"::1:8000" needs brackets around its IPv6 address, as in [::1]:8000'),
        ("[::1]", '"[::1]" needs brackets around its IPv6 address, as in [::1]:8000'),
        ("[localhost]:80", '"[localhost]:80" has brackets around what is not an IPv6 address'),
        ("[::g]:80", '"::g" is not an IPv6 address'),
        ("256.0.0.1:80", '"256.0.0.1" is not an IPv4 address'),
        ("127.1:80", '"127.1" is not an IPv4 address'),
        ("a b:80", '"a b" is neither an IP address nor a host name'),
        ("-a:80", '"-a" is neither an IP address nor a host name'),
        ("a..b:80", '"a..b" is neither an IP address nor a host name'),
        ("/run/x.sock", '"/run/x.sock" is not an address; did you mean unix:/run/x.sock?'),
        ("@x", '"@x" is not an address; did you mean unix:@x?'),
        ("unix:", '"unix:" names no socket; write unix:/run/app.sock or unix:@name'),
        ("unix:@", '"unix:@" names no socket; write unix:/run/app.sock or unix:@name'),
        ("fd:", '"fd:" names no file descriptor; write fd:3'),
        ("fd:x", '"fd:x" names no file descriptor; write fd:3'),
        ("fd:-1", '"fd:-1" names no file descriptor; write fd:3'),
        ("fd:99999999999", '"fd:99999999999" names no file descriptor; write fd:3'),
        ("systemd:", '"systemd:" names no socket; write systemd:NAME, or systemd for all of them'),
        (
            "systemd:a:b",
            '"systemd:a:b" names no socket; write systemd:NAME, or systemd for all of them',
        ),
    ],
)
def test_no_addresses(text, reason):
    with pytest.raises(Refusal) as caught:
        parse_address(text)
    assert str(caught.value) == reason


@given(st.text())
def test_any_text_is_an_address_or_refused(text):
    try:
        address = parse_address(text)
    except Refusal:
        return
    assert parse_address(str(address)) == address


def test_options_follow_commas():
    assert split_listen("unix:/x,mode=0660,group=a=b") == {
        "address": "unix:/x",
        "mode": "0660",
        "group": "a=b",
    }
    assert split_listen("unix:/x") == {"address": "unix:/x"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("unix:/x,mode", '"mode" is not an option of the form mode=0660'),
        ("unix:/x,", '"" is not an option of the form mode=0660'),
        ("unix:/x,=1", '"=1" is not an option of the form mode=0660'),
        ("unix:/x,mode=1,mode=2", '"mode" is given twice in "unix:/x,mode=1,mode=2"'),
        ("unix:/x,address=:1", '"address" is given twice in "unix:/x,address=:1"'),
    ],
)
def test_no_options(text, reason):
    with pytest.raises(Refusal) as caught:
        split_listen(text)
    assert str(caught.value) == reason
