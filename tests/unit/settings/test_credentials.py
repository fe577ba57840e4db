"""`credential:NAME` in the place of any string, and never in what is printed."""

import os

import pytest

from granian_d.errors import ConfigError
from granian_d.settings import load, remarks, resolve
from granian_d.settings.credentials import LARGEST_BYTES
from granian_d.settings.kinds import Addresses, Paths, Secret, String, Strings
from granian_d.settings.options import OPTIONS
from granian_d.settings.render import effective

SECRETS = {
    "metrics.address": "10.9.8.7",
    "app": "main:app",
    "host": "10.9.8.7",
    "url_path_prefix": "/hunter2",
    "warmup": "/hunter2",
    "health": "/hunter2",
    "access_log.fmt": "%(path)s hunter2",
}


@pytest.fixture
def safe(tmp_path):
    (tmp_path / "safe").mkdir()
    return tmp_path / "safe"


def environ(safe):
    return {"CREDENTIALS_DIRECTORY": str(safe)}


def refused(safe, *argv):
    with pytest.raises(ConfigError) as caught:
        resolve(load(argv, environ(safe)))
    return str(caught.value)


@pytest.mark.parametrize("source", ["argument", "variable", "file"])
@pytest.mark.parametrize(
    "option",
    [
        option
        for option in OPTIONS.values()
        if option.in_file and option.kind.holds_strings and not option.multiple
    ],
    ids=lambda option: option.key,
)
def test_any_string_may_be_one(option, source, safe, tmp_path):
    from tests.unit.settings.written import Sources, get

    secret = SECRETS.get(option.key, "hunter2")
    (safe / "the-one").write_text(secret + "\n")
    sources = Sources(tmp_path)
    sources.environ |= environ(safe)
    sources.write(source, option, "credential:the-one")
    if option.key != "app":
        sources.write("argument", OPTIONS["app"], "other:app")
    loaded = load(sources.arguments(), sources.environ)
    assert get(loaded.settings, option) == secret
    printed = effective(loaded)
    assert secret not in printed
    assert f'{option.key} = "credential:the-one"' in printed


def test_a_list_may_hold_some(safe):
    (safe / "address").write_text("10.9.8.7:80")
    for argv, variables in [
        (["main", "--listen", "127.0.0.1:1", "--listen", "credential:address"], {}),
        (["main"], {"GRANIAN_LISTEN": "127.0.0.1:1 credential:address"}),
    ]:
        loaded = load(argv, environ(safe) | variables)
        assert [str(entry) for entry in loaded.settings.listen] == ["127.0.0.1:1", "10.9.8.7:80"]
        assert 'listen = ["127.0.0.1:1", "credential:address"]' in effective(loaded)


def test_a_table_of_a_list_too(safe, tmp_path):
    (safe / "owner").write_text("4711")
    file = tmp_path / "app.toml"
    file.write_text('[[listen]]\naddress = "unix:/x"\nowner = "credential:owner"\n')
    loaded = load(["main", "-c", str(file)], environ(safe))
    assert resolve(loaded).listeners[0].uid == 4711
    assert "4711" not in effective(loaded)


def test_only_the_last_newline_is_taken_off(safe):
    (safe / "name").write_text(" a b \n\n")
    assert (
        load(["main", "--process-name", "credential:name"], environ(safe)).settings.process_name
        == " a b \n"
    )


def test_only_what_counts_is_read(safe):
    variables = {"GRANIAN_USER": "credential:missing"}
    assert load(["main", "--user", "me"], environ(safe) | variables).settings.user == "me"


def test_an_option_that_is_no_string_is_none(safe):
    (safe / "four").write_text("4")
    line = refused(safe, "main", "--workers", "credential:four")
    assert line == '--workers: "credential:four" is not an integer from 1 to 512'


class TestRefused:
    def test_missing(self, safe):
        line = refused(safe, "main", "--user", "credential:nobody")
        assert line == '--user: "credential:nobody" cannot be read: No such file or directory'

    def test_several(self, safe):
        line = refused(safe, "main", "--user", "credential:a", "--group", "credential:b")
        assert (
            line == '--user: "credential:a" cannot be read: No such file or directory (and 1 more)'
        )

    def test_no_directory(self):
        with pytest.raises(ConfigError) as caught:
            load(["main", "--user", "credential:me"], {})
        assert (
            str(caught.value)
            == '--user: "credential:me" cannot be read: CREDENTIALS_DIRECTORY is not set'
        )

    def test_a_symbolic_link(self, safe, tmp_path):
        (tmp_path / "elsewhere").write_text("hunter2")
        (safe / "link").symlink_to(tmp_path / "elsewhere")
        line = refused(safe, "main", "--user", "credential:link")
        assert line == '--user: "credential:link" cannot be read: Too many levels of symbolic links'

    @pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".", ".."])
    def test_a_path(self, name, safe, tmp_path):
        (tmp_path / "elsewhere").write_text("hunter2")
        line = refused(safe, "main", "--user", f"credential:{name}")
        assert line == f'--user: "credential:{name}" does not name a credential'

    def test_a_pipe(self, safe):
        os.mkfifo(safe / "pipe")
        line = refused(safe, "main", "--user", "credential:pipe")
        assert line == '--user: "credential:pipe" cannot be read: not a regular file'

    def test_too_large(self, safe):
        (safe / "large").write_bytes(b"x" * (LARGEST_BYTES + 1))
        line = refused(safe, "main", "--user", "credential:large")
        assert (
            line == f'--user: "credential:large" cannot be read: larger than {LARGEST_BYTES} bytes'
        )
        (safe / "large").write_bytes(b"x" * LARGEST_BYTES)
        assert load(["main", "--user", "credential:large"], environ(safe))

    def test_not_text(self, safe):
        (safe / "octets").write_bytes(b"\xff")
        assert (
            refused(safe, "main", "--user", "credential:octets")
            == '--user: "credential:octets" is not UTF-8'
        )


class TestNotPrinted:
    """A content that is refused is not shown, whoever refuses it."""

    @pytest.mark.parametrize(
        ("option", "reason"),
        [
            ("app", '"credential:x" is not module:attribute or path/to/file.py:attribute'),
            ("host", '"credential:x" is not a non-empty string'),
            ("url_path_prefix", '"credential:x" is not a path that begins with /'),
            ("access_log.fmt", '"credential:x" is not a non-empty string'),
            ("user", "the content of credential:x cannot be used here"),
            ("group", "the content of credential:x cannot be used here"),
            ("uds", "the content of credential:x cannot be used here"),
            ("working_dir", "the content of credential:x cannot be used here"),
            ("listen", '"credential:x" is not a listen address'),
        ],
    )
    def test_a_refused_content(self, option, reason, safe):
        (safe / "x").write_text("hunter2 %(hunter2)s " + "x" * 120)
        name = OPTIONS[option].flag
        argv = ["credential:x"] if option == "app" else ["main", name, "credential:x"]
        label = "APP" if option == "app" else name
        line = refused(safe, *argv)
        assert "hunter" not in line
        assert line == f"{label}: {reason}"


def test_a_rehearsal_without_the_directory_goes_on():
    loaded = load(
        ["main", "--listen", "credential:x", "--user", "credential:y"], {}, inherited=None
    )
    assert remarks(loaded) == (
        "listen[0]: credential:x is not known here, not examined",
        "user: credential:y is not known here, not examined",
    )
    assert resolve(loaded)


def test_the_kinds_that_may_hold_one():
    kinds = {option.kind.__class__ for option in OPTIONS.values() if option.kind.holds_strings}
    assert kinds == {String, Secret, Addresses, Strings, Paths}
