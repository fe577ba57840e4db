"""What a user is told, word for word: one line with the place, the value and what was expected."""

import json
import os

import pytest

from granian_d.errors import ConfigError
from granian_d.settings import asked_for, load, remarks


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def complaint(*argv, **environ):
    with pytest.raises(ConfigError) as caught:
        load(argv, environ)
    line = str(caught.value)
    assert line.isprintable(), "a complaint is one line"
    return line


def file_complaint(tmp_path, text):
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "app.toml").write_bytes(content)
    return complaint("main", "-c", "app.toml")


COMMAND_LINE = [
    (["--wrokers", "4"], "--wrokers: unknown option; did you mean --workers?"),
    (["--hlep"], "--hlep: unknown option; did you mean --help?"),
    (["--zzzzzz=1"], "--zzzzzz: unknown option"),
    (["-x"], "-x: unknown option"),
    (["main", "--workers"], "--workers: needs a value: an integer from 1 to 512"),
    (["main", "-c"], "-c: needs a value: a path"),
    (["main", "--workers", "many"], '--workers: "many" is not an integer from 1 to 512'),
    (["main", "--workers="], '--workers: "" is not an integer from 1 to 512'),
    (["main", "--workers", "0"], '--workers: "0" is not an integer from 1 to 512'),
    (["main", "--workers", "513"], '--workers: "513" is not an integer from 1 to 512'),
    (["main", "--workers", "1_0"], '--workers: "1_0" is not an integer from 1 to 512'),
    (["main", "--workers", "٤"], '--workers: "٤" is not an integer from 1 to 512'),
    (["main", "--http1-max-headers", "-1"], '--http1-max-headers: "-1" is not an integer >= 1'),
    (["main", "--http1-keep-alive=no"], "--http1-keep-alive: takes no value"),
    (["main", "again"], 'again: unexpected argument; APP is "main" already'),
    (["main:", "--port", "1"], 'APP: "main:" is not module:attribute or path/to/file.py:attribute'),
    (["a-b"], 'APP: "a-b" is not module:attribute or path/to/file.py:attribute'),
    (["a/b-c.py:d e"], 'APP: "a/b-c.py:d e" is not module:attribute or path/to/file.py:attribute'),
    (["a b:c d"], 'APP: "a b:c d" is not module:attribute or path/to/file.py:attribute'),
    ([], "app: missing; give it as the argument APP, GRANIAN_APP or app in the file"),
    (["main", "--interface", "cgi"], '--interface: "cgi" is not one of asgi, asginl, wsgi, rsgi'),
    (["main", "--host", ""], '--host: "" is not a non-empty string'),
    (["main", "--host", "127.1"], '--host: "127.1" is not an IPv4 address'),
    (["main", "--host", "::g"], '--host: "::g" is not an IPv6 address'),
    (["main", "--host", "a b"], '--host: "a b" is neither an IP address nor a host name'),
    (["main", "--url-path-prefix", "x"], '--url-path-prefix: "x" is not a path that begins with /'),
    (["main", "--uds", "a\0b"], "--uds: a NUL character cannot be part of it"),
    (
        ["main", "--uds-permissions", "660"],
        '--uds-permissions: 660 is decimal without a leading 0; did you mean "0660"?',
    ),
    (
        ["main", "--uds-permissions", "01777"],
        '--uds-permissions: "01777" is not an octal mode from 0000 to 0777',
    ),
    (
        ["main", "--workers-kill-timeout", "1h"],
        '--workers-kill-timeout: "1h" is not a duration (such as 90 or 1h30m) from 1 to 1800 seconds',
    ),
    (
        ["main", "--access-log-fmt", "%(adr)s"],
        "--access-log-fmt: no atom is called 'adr'; did you mean addr?",
    ),
    (
        ["main", "--process-name", "x" * 70 + "\0"],
        "--process-name: a NUL character cannot be part of it",
    ),
    (
        ["main", "--workers", "x" * 70],
        f'--workers: "{"x" * 60}..." is not an integer from 1 to 512',
    ),
    (["main", "--workers", "a\nb"], r'--workers: "a\nb" is not an integer from 1 to 512'),
    (["--a\nb"], r"--a\nb: unknown option"),
    (
        ["main", "--workers", "a", "--port", "b"],
        '--workers: "a" is not an integer from 1 to 512 (and 1 more)',
    ),
    (
        ["main", "--port", "b", "--workers", "a"],
        '--port: "b" is not an integer from 0 to 65535 (and 1 more)',
    ),
]


@pytest.mark.parametrize(("argv", "line"), COMMAND_LINE)
def test_command_line(argv, line):
    assert complaint(*argv) == line


def test_undecodable_arguments_can_be_printed():
    octets = os.fsdecode(b"\xff")
    assert complaint("--" + octets) == r"--\udcff: unknown option"
    assert complaint("main", "--process-name", octets) == "--process-name: not UTF-8"
    assert complaint("main", "--port", octets) == "--port: not UTF-8"
    assert complaint(octets) == "APP: not UTF-8"
    assert complaint("main", GRANIAN_LISTEN=f":80 {octets}") == "GRANIAN_LISTEN: not UTF-8"


ENVIRONMENT = [
    ("GRANIAN_WORKERS", "many", '"many" is not an integer from 1 to 512'),
    ("GRANIAN_HTTP1_KEEP_ALIVE", "maybe", '"maybe" is not true or false'),
    ("GRANIAN_HTTP1_BUFFER_SIZE", "1", '"1" is not an integer >= 8192'),
    (
        "GRANIAN_LISTEN",
        ":80 nowhere",
        '"nowhere" has no port; addresses are HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH, fd:N, systemd:NAME or systemd',
    ),
    ("GRANIAN_LISTEN", "unix:/a,mode=x", 'mode: "x" is not an octal mode from 0000 to 0777'),
    ("GRANIAN_CONFIG", "nowhere.toml", None),
]


@pytest.mark.parametrize(("name", "text", "reason"), ENVIRONMENT)
def test_environment(name, text, reason):
    expected = (
        f"{name}: {reason}" if reason else f"{text}: cannot be read: No such file or directory"
    )
    assert complaint("main", **{name: text}) == expected


FILE = [
    (
        "[http1]\nkeep_alve = true",
        "app.toml:2: http1.keep_alve: unknown key; did you mean http1.keep_alive?",
    ),
    ("\n\nworkrs = 1", "app.toml:3: workrs: unknown key; did you mean workers?"),
    ("zzzzzz = 1", "app.toml:1: zzzzzz: unknown key"),
    ("keep_alive = true", "app.toml:1: keep_alive: unknown key; did you mean http1.keep_alive?"),
    ("[htp1]\nkeep_alive = true", "app.toml:1: htp1: unknown key; did you mean http1?"),
    ("http1 = 3", "app.toml:1: http1: 3 is not a table"),
    ("[[http1]]\n[[http1]]", "app.toml:1: http1: a list is not a table"),
    ("config = 'other.toml'", "app.toml:1: config: only --config and GRANIAN_CONFIG can name it"),
    ('workers = "4"', 'app.toml:1: workers: the string "4" is not an integer from 1 to 512'),
    ("workers = true", "app.toml:1: workers: true is not an integer from 1 to 512"),
    ("workers = 4.0", "app.toml:1: workers: 4.0 is not an integer from 1 to 512"),
    ("workers = [4]", "app.toml:1: workers: a list is not an integer from 1 to 512"),
    ("workers = {}", "app.toml:1: workers: a table is not an integer from 1 to 512"),
    ("workers = 1979-05-27", "app.toml:1: workers: 1979-05-27 is not an integer from 1 to 512"),
    ("http1.keep_alive = 1", "app.toml:1: http1.keep_alive: 1 is not true or false"),
    ('factory = "yes"', 'app.toml:1: factory: the string "yes" is not true or false'),
    ("host = 1", "app.toml:1: host: 1 is not a non-empty string"),
    ("user = 1000", "app.toml:1: user: 1000 is not a non-empty string"),
    ('interface = "cgi"', 'app.toml:1: interface: "cgi" is not one of asgi, asginl, wsgi, rsgi'),
    ("interface = 1", "app.toml:1: interface: 1 is not one of asgi, asginl, wsgi, rsgi"),
    ("umask = 660", 'app.toml:1: umask: 660 is decimal without a leading 0; did you mean "0660"?'),
    (
        "workers_kill_timeout = inf",
        "app.toml:1: workers_kill_timeout: inf is not a duration (such as 90 or 1h30m) from 1 to 1800 seconds",
    ),
    (
        "workers_kill_timeout = true",
        "app.toml:1: workers_kill_timeout: true is not a duration (such as 90 or 1h30m) from 1 to 1800 seconds",
    ),
    ('listen = ":80"', 'app.toml:1: listen: the string ":80" is not a list of addresses'),
    (
        "listen = [\n':80',\n3]",
        "app.toml:3: listen[1]: 3 is not an address, or a table of address, mode, owner, group, backlog, proxy_protocol, tls, http3",
    ),
    ("[[listen]]\nmode = '0660'", "app.toml:1: listen[0]: has no address"),
    (
        "[[listen]]\naddress = ':80'\n[[listen]]\naddress = 'unix:/a'\nmod = '0660'",
        "app.toml:5: listen[1].mod: unknown key; did you mean listen[1].mode?",
    ),
    (
        "[[listen]]\naddress = ':80'\nmode = '0660'",
        "app.toml:1: listen[0]: :80 has no mode: only a Unix socket with a path has",
    ),
    ("[[listen]]\naddress = 80", "app.toml:2: listen[0].address: 80 is not a listen address"),
    (
        "listen = ['unix:/a,mode=8x']",
        'app.toml:1: listen[0].mode: "8x" is not an octal mode from 0000 to 0777',
    ),
    (
        'access_log.fmt = "%(path)"',
        "app.toml:1: access_log.fmt: '%(path)' is not of the form %(atom)s, nor %%",
    ),
    ('"a\\nb" = 1', r"app.toml:1: a\nb: unknown key"),
    (
        "port = -1\nworkers = 0\nzz = 1",
        "app.toml:1: port: -1 is not an integer from 0 to 65535 (and 2 more)",
    ),
    ("zz = 1\nport = -1", "app.toml:1: zz: unknown key (and 1 more)"),
]


@pytest.mark.parametrize(("text", "line"), FILE)
def test_file(text, line, tmp_path):
    assert file_complaint(tmp_path, text) == line


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("a = 1\nb = ", "app.toml:2: not valid TOML: "),
        ("a = 1\nb = [1,\n2", "app.toml:3: not valid TOML: "),
        ("a = 1\na = 2", "app.toml:2: not valid TOML: "),
        ("[a\n", "app.toml:1: not valid TOML: "),
        (b"a = 1\nb = '\xff'", "app.toml:2: not UTF-8"),
    ],
)
def test_broken_file(text, begin, tmp_path):
    """The reason is tomllib's and differs between releases of Python; the place is ours."""
    line = file_complaint(tmp_path, text)
    assert line.startswith(begin)
    assert "(at " not in line


def test_missing_file():
    assert (
        complaint("main", "-c", "nowhere.toml")
        == "nowhere.toml: cannot be read: No such file or directory"
    )


def test_unreadable_file(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    assert complaint("main", "-c", "folder.toml") == "folder.toml: cannot be read: Is a directory"


def test_the_file_is_named_as_the_user_named_it(tmp_path):
    file = tmp_path / "app.toml"
    file.write_text("port = -1")
    assert complaint("main", "-c", str(file)).startswith(f"{file}:1: port: ")


def test_faults_are_told_in_the_order_of_reading(tmp_path):
    (tmp_path / "app.toml").write_text("port = -1\nbacklog = 1\n")
    both = complaint("main", "-c", "app.toml", GRANIAN_WORKERS="many")
    assert both == 'GRANIAN_WORKERS: "many" is not an integer from 1 to 512 (and 2 more)'


def test_an_unknown_variable_is_a_warning():
    environ = {"GRANIAN_WORKRS": "4", "GRANIAN_QUUX": "2", "PATH": "/bin"}
    assert remarks(load(["main"], environ)) == (
        "GRANIAN_QUUX: unknown variable, ignored",
        "GRANIAN_WORKRS: unknown variable, ignored; did you mean GRANIAN_WORKERS?",
    )


@pytest.mark.parametrize(
    ("argv", "wish"),
    [
        (["--help"], "help"),
        (["main", "--bogus", "-h"], "help"),
        (["--version", "--help"], "version"),
        (["main"], ""),
        (["--process-name", "--help", "main"], ""),
        (["--", "--help"], ""),
        (["--factory", "--help"], "help"),
    ],
)
def test_what_the_command_line_asks_for(argv, wish):
    assert asked_for(argv) == wish


def test_complaints_survive_json():
    assert json.loads(json.dumps(complaint("main", "--workers", "a\u2028b"))).isprintable()
