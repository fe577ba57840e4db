"""From listen, host, port, uds and inherited sockets to one ListenerPlan for each socket."""

import os
import pwd
import socket

import pytest

from granian_d.errors import ConfigError, ListenError
from granian_d.settings import load, remarks, resolve
from granian_d.settings.serving import Listen

HAS_IPV6 = os.path.exists("/proc/net/if_inet6")


def plans(*argv, inherited=(), environ=None):
    return resolve(load(["main", *argv], environ or {}, inherited=inherited)).listeners


def keys(*argv, inherited=()):
    return [plan.key for plan in plans(*argv, inherited=inherited)]


def listen(*addresses):
    return [word for address in addresses for word in ("--listen", address)]


def refused(*argv, kind=ConfigError, inherited=()):
    with pytest.raises(kind) as caught:
        plans(*argv, inherited=inherited)
    return str(caught.value)


class TestAddresses:
    def test_one_plan_for_each(self):
        assert keys(*listen("127.0.0.1:80", "[::1]:80", "unix:/run/x.sock", "unix:@x", "fd:3")) == [
            "tcp:127.0.0.1:80",
            "tcp:[::1]:80",
            "unix:/run/x.sock",
            "unix:@x",
            "fd:3",
        ]

    def test_every_address(self):
        every = ["tcp:0.0.0.0:80", "tcp:[::]:80"] if HAS_IPV6 else ["tcp:0.0.0.0:80"]
        assert keys(*listen(":80")) == every

    def test_a_host_name_is_resolved_into_literals(self):
        found = plans(*listen("localhost:80"))
        expected = {info[4][0] for info in socket.getaddrinfo("localhost", 80)}
        assert {plan.host for plan in found} == expected
        assert all(plan.kind == "tcp" and plan.port == 80 for plan in found)

    def test_a_host_name_that_is_none(self):
        line = refused(*listen("nowhere.invalid:80"), kind=ListenError)
        assert line.startswith("--listen: nowhere.invalid cannot be resolved: ")
        line = refused("--host", "nowhere.invalid", kind=ListenError)
        assert line.startswith("--host: nowhere.invalid cannot be resolved: ")

    def test_host_and_port(self):
        assert keys() == ["tcp:127.0.0.1:8000"]
        assert keys("--host", "::1", "--port", "0") == ["tcp:[::1]:0"]

    def test_uds_instead_of_host_and_port(self):
        (plan,) = plans("--uds", "/run/x.sock", "--port", "80", "--uds-permissions", "0600")
        assert (plan.key, plan.mode) == ("unix:/run/x.sock", 0o600)

    def test_listen_instead_of_all_three(self):
        assert keys(*listen("127.0.0.1:1"), "--port", "2", "--uds", "/x") == ["tcp:127.0.0.1:1"]

    def test_twice(self):
        assert (
            refused(*listen("127.0.0.1:80", "127.0.0.1:80"))
            == "--listen: tcp:127.0.0.1:80 is listened on already"
        )

    def test_twice_under_another_name(self, tmp_path):
        first = socket.getaddrinfo("localhost", 80)[0][4][0]
        literal = f"[{first}]:80" if ":" in first else f"{first}:80"
        (tmp_path / "a.toml").write_text(f"listen = [\n'localhost:80',\n'{literal}',\n]")
        line = refused("-c", str(tmp_path / "a.toml"))
        assert line == f"{tmp_path}/a.toml:3: listen[1]: tcp:{literal} is listened on already"

    def test_a_path_that_is_too_long(self):
        path = "/" + "x" * 107
        assert (
            refused(*listen(f"unix:{path}"))
            == f"--listen: {path} is longer than the 107 bytes of a Unix socket's address"
        )
        assert keys(*listen(f"unix:{path[:-1]}")) == [f"unix:{path[:-1]}"]

    def test_backlogs(self):
        first, second = plans(*listen("127.0.0.1:1,backlog=128", "127.0.0.1:2"), "--backlog", "500")
        assert (first.backlog, second.backlog) == (128, 500)


class TestOptionsOfUnixSockets:
    def test_as_a_string(self):
        user = pwd.getpwuid(os.geteuid())
        (plan,) = plans(*listen(f"unix:/x,mode=0660,owner={user.pw_name},group={user.pw_gid}"))
        assert (plan.mode, plan.uid, plan.gid) == (0o660, user.pw_uid, user.pw_gid)

    def test_as_a_table(self, tmp_path):
        (tmp_path / "a.toml").write_text(
            '[[listen]]\naddress = "unix:/x"\nmode = "0600"\nowner = "4711"\nbacklog = 999\n'
            '[[listen]]\naddress = "127.0.0.1:80"\n'
        )
        unix, tcp = plans("-c", str(tmp_path / "a.toml"), "--uds-permissions", "0660")
        assert (unix.mode, unix.uid, unix.gid, unix.backlog) == (0o600, 4711, None, 999)
        assert (tcp.mode, tcp.uid, tcp.gid, tcp.backlog) == (None, None, None, 1024)

    def test_the_general_mode_counts_where_there_is_no_own(self):
        own, general, abstract = plans(
            *listen("unix:/x,mode=0600", "unix:/y", "unix:@z"), "--uds-permissions", "0660"
        )
        assert (own.mode, general.mode, abstract.mode) == (0o600, 0o660, None)

    @pytest.mark.parametrize(
        ("address", "reason"),
        [
            ("unix:/x,owner=nobody-at-all", 'owner: there is no user "nobody-at-all"'),
            ("unix:/x,group=nobody-at-all", 'group: there is no group "nobody-at-all"'),
            ("unix:/x,owner=4294967295", 'owner: there is no user "4294967295"'),
            (
                "127.0.0.1:80,mode=0660",
                "127.0.0.1:80 has no mode: only a Unix socket with a path has",
            ),
            ("unix:@x,owner=root", "unix:@x has no owner: only a Unix socket with a path has"),
            ("fd:3,group=root", "fd:3 has no group: only a Unix socket with a path has"),
            ("systemd:a,backlog=128", "systemd:a has the backlog that it was opened with"),
            (
                "unix:/x,colour=red",
                '"colour" is not an option of an address; there are '
                + ", ".join(list(Listen.model_fields)[1:]),
            ),
        ],
    )
    def test_refused(self, address, reason):
        assert refused(*listen(address)) == f"--listen: {reason}"

    def test_the_line_of_a_wrong_owner(self, tmp_path):
        file = tmp_path / "a.toml"
        file.write_text('[[listen]]\naddress = "unix:/x"\n\nowner = "nobody-at-all"\n')
        assert (
            refused("-c", str(file))
            == f'{file}:4: listen[0].owner: there is no user "nobody-at-all"'
        )


class TestInheritedSockets:
    def test_all_of_them_when_none_is_named(self):
        (plan,) = plans(inherited=("http", "https"))
        assert (plan.key, plan.kind, plan.name) == ("systemd", "systemd", "")

    def test_they_replace_host_port_and_uds(self):
        argv = ["--port", "80", "--uds", "/x"]
        assert keys(*argv, inherited=("http",)) == ["systemd"]
        assert remarks(load(["main", *argv], {}, inherited=("http",))) == (
            "--port: not bound: systemd passed the sockets to serve",
            "--uds: not bound: systemd passed the sockets to serve",
        )
        assert remarks(load(["main"], {}, inherited=("http",))) == ()

    def test_explicit_addresses_come_in_addition(self):
        assert keys(*listen("127.0.0.1:80"), inherited=("http",)) == ["systemd", "tcp:127.0.0.1:80"]

    def test_only_those_that_are_named(self):
        assert keys(*listen("systemd:http"), inherited=("http", "other")) == ["systemd:http"]
        assert keys(*listen("127.0.0.1:80", "systemd"), inherited=("http",)) == [
            "tcp:127.0.0.1:80",
            "systemd",
        ]

    def test_by_number(self):
        assert keys(*listen("fd:4"), inherited=("http", "other")) == ["fd:4"]
        assert keys(*listen("fd:5"), inherited=("http", "other")) == ["systemd", "fd:5"]

    def test_by_number_and_by_name(self):
        line = "--listen: fd:4 is listened on already"
        assert refused(*listen("systemd:other", "fd:4"), inherited=("http", "other")) == line
        assert refused(*listen("systemd", "fd:4"), inherited=("http", "other")) == line
        assert keys(*listen("systemd:http", "fd:4"), inherited=("http", "other")) == [
            "systemd:http",
            "fd:4",
        ]

    def test_by_name_and_all(self):
        line = "--listen: systemd:http is listened on already"
        assert refused(*listen("systemd", "systemd:http"), inherited=("http",)) == line

    def test_a_name_that_was_not_passed(self):
        assert (
            refused(*listen("systemd:http"))
            == '--listen: systemd passed no socket named "http"; none were passed'
        )
        line = refused(*listen("systemd:http"), inherited=("a", "b", "a"))
        assert line == '--listen: systemd passed no socket named "http"; there are a, b'
        assert (
            refused(*listen("systemd")) == "--listen: systemd passed no sockets; none were passed"
        )

    def test_in_a_rehearsal_any_name_may_come(self):
        assert keys(*listen("systemd:http", "systemd:other"), inherited=None) == [
            "systemd:http",
            "systemd:other",
        ]
        assert keys(inherited=None) == ["tcp:127.0.0.1:8000"]
