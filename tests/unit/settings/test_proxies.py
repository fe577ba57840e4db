"""Who is believed for whom they ask, as it is written and as the plan has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.errors import ConfigError
from granian_d.plan import ForwardingPlan, Network
from granian_d.settings import load, resolve
from granian_d.settings.kinds import KINDS, Text

PROXIES = KINDS["proxies"]


def plan(*argv):
    return resolve(load(["main", *argv], {}))


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", ()),
        ("127.0.0.1", ("127.0.0.1",)),
        ("127.0.0.1, ::1 ,unix,*", ("127.0.0.1", "::1", "unix", "*")),
        ("10.0.0.0/8,10.0.0.1/32", ("10.0.0.0/8", "10.0.0.1")),
        ("10.0.0.0/255.0.0.0", ("10.0.0.0/8",)),
        ("2001:DB8:0::/32", ("2001:db8::/32",)),
        ("::ffff:10.0.0.0/104,::ffff:192.0.2.1", ("10.0.0.0/8", "192.0.2.1")),
    ],
)
def test_entries_have_one_form(text, entries):
    assert PROXIES.parse(text) == entries
    assert PROXIES.read(Text(PROXIES.text(entries))) == entries


@pytest.mark.parametrize(
    "text", ["a", "1", "127.1", "10.0.0.0/33", "unix:/x", "127.0.0.1,", "010.0.0.1"]
)
def test_what_is_no_entry(text):
    with pytest.raises(ConfigError, match="is neither an IP address, a network"):
        load(["main", "--forwarded-allow-ips", text], {})


def test_an_address_with_a_mask_is_no_network():
    with pytest.raises(
        ConfigError, match=r'"10\.1\.2\.3/8" is not a network; did you mean 10\.0\.'
    ):
        load(["main", "--forwarded-allow-ips", "10.1.2.3/8"], {})


@pytest.mark.parametrize("entry", ["fe80::1%eth0", "fe80::%1/64"])
def test_a_zone_belongs_to_no_list(entry):
    with pytest.raises(ConfigError, match="forwarded-allow-ips"):
        load(["main", "--forwarded-allow-ips", entry], {})


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ('"127.0.0.1"', 'the string "127.0.0.1" is not a list of IP addresses'),
        ("true", "true is not a list of IP addresses"),
        ("[1]", "each entry of it is a string"),
        ("[[]]", "each entry of it is a string"),
    ],
)
def test_toml_wants_a_list_of_strings(tmp_path, written, reason):
    file = tmp_path / "a.toml"
    file.write_text(f'app = "main"\nforwarded_allow_ips = {written}\n')
    with pytest.raises(ConfigError) as caught:
        load(["--config", str(file)], {})
    assert f"a.toml:2: forwarded_allow_ips: {reason}" in str(caught.value)


def test_nobody_is_believed_unless_somebody_says_so():
    assert plan().worker.forwarding is None


def test_the_plan_has_numbers():
    found = plan("--forwarded-allow-ips", "10.0.0.0/8,::1,unix", "--forwarded-fields", "forwarded")
    assert found.worker.forwarding == ForwardingPlan(
        fields="forwarded",
        everyone=False,
        unix=True,
        networks=(
            Network(bits=32, first=10 << 24, last=(11 << 24) - 1),
            Network(bits=128, first=1, last=1),
        ),
    )
    assert plan("--forwarded-allow-ips", "*").worker.forwarding.everyone


@given(st.ip_addresses(), st.integers(0, 128))
def test_any_network_is_read(address, bits):
    bits = min(bits, address.max_prefixlen)
    number = int(address) >> (address.max_prefixlen - bits) << (address.max_prefixlen - bits)
    entry = f"{type(address)(number)}/{bits}"
    (network,) = plan("--forwarded-allow-ips", entry).worker.forwarding.networks
    if network.bits == address.max_prefixlen:  # not IPv4 in IPv6
        assert network.first == number
    assert network.last - network.first + 1 == 1 << (address.max_prefixlen - bits)


def test_the_proxy_protocol_of_all_listeners_and_of_one():
    argv = ["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2,proxy_protocol=true"]
    argv += ["--listen", "unix:/run/a.sock,proxy_protocol=no"]
    assert [p.proxy_protocol for p in plan(*argv).listeners] == [False, True, False]
    on = plan("--proxy-protocol", *argv).listeners
    assert [p.proxy_protocol for p in on] == [True, True, False]
    assert plan("--proxy-protocol", "--uds", "/run/a.sock").listeners[0].proxy_protocol
    assert plan("--proxy-protocol").listeners[0].proxy_protocol
    inherited = resolve(load(["main", "--proxy-protocol"], {}, inherited=("a",)))
    assert [p.proxy_protocol for p in inherited.listeners] == [True]
