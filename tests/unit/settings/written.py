"""How values of any option are written in any source: derived from the model, for every test.

A new option is tested by this without a line added here, unless its values have a grammar that the
model knows and its kind does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from granian_d.event_loops import loops
from granian_d.settings.addresses import Address
from granian_d.settings.kinds import (
    Addresses,
    Certificates,
    Choice,
    Duration,
    Integer,
    Octal,
    Paths,
    String,
    Strings,
    Switch,
)
from granian_d.settings.options import OPTIONS, Option
from granian_d.settings.serving import Listen
from granian_d.settings.tls_options import Certificate

if TYPE_CHECKING:
    from pathlib import Path

_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
).filter(lambda text: not text.startswith("credential:"))
_WORD = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
_PATH = st.from_regex(r"/[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True)

# IPv4 in IPv6 is read as IPv4 there.
_ADDRESS = st.ip_addresses().filter(lambda ip: not getattr(ip, "ipv4_mapped", None)).map(str)

_OF_OPTION = {
    "app": st.builds("{}:{}".format, _WORD, _WORD.filter(str.isidentifier)),
    "host": st.one_of(
        st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str), _WORD, st.just("example.org")
    ),
    "loop": st.sampled_from(sorted(loops.keys())),  # that are installed here
    **dict.fromkeys(("url_path_prefix", "warmup", "health"), _PATH),
    "static_path.dir_to_file": _WORD,
    "static_path.route": st.lists(_PATH, min_size=1, max_size=3).map(tuple),
    "metrics.address": _ADDRESS,
    "forwarded_allow_ips": st.lists(
        st.one_of(
            _ADDRESS,
            st.sampled_from(["unix", "*", "10.0.0.0/8", "2001:db8::/32"]),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    "access_log.fmt": st.sampled_from(['%(method)s "%(path)s"', "%(status)d", "100%% %(dt_ms).1f"]),
}


@st.composite
def _listen(draw: st.DrawFn) -> Listen:
    kind = draw(st.sampled_from(["tcp", "unix", "fd", "systemd"]))
    match kind:
        case "tcp":
            address = Address(
                kind="tcp", host=draw(_OF_OPTION["host"]), port=draw(st.integers(0, 65535))
            )
        case "unix":
            address = Address(kind="unix", path=draw(_PATH))
        case "fd":
            address = Address(kind="fd", fd=draw(st.integers(3, 999)))
        case _:
            address = Address(kind="systemd", name=draw(st.one_of(st.just(""), _WORD)))
    facts: dict[str, Any] = {}
    facts["proxy_protocol"] = draw(st.one_of(st.none(), st.booleans()))
    if kind == "unix":
        facts["mode"] = draw(st.one_of(st.none(), st.integers(0, 0o777)))
        facts["owner"] = draw(st.one_of(st.none(), _WORD))
    if kind in {"tcp", "unix"}:
        facts["backlog"] = draw(st.one_of(st.none(), st.integers(128, 65535)))
    return Listen(address=address, **facts)


def _certificate() -> st.SearchStrategy[Certificate]:
    return st.builds(Certificate, certificate=_PATH, keyfile=_PATH)


def values(option: Option) -> st.SearchStrategy[Any]:
    """Valid values of an option, as the model holds them."""
    low, high = option.minimum, option.maximum
    match option.kind:
        case _ if option.key in _OF_OPTION:
            return _OF_OPTION[option.key]
        case Certificates():
            return st.lists(_certificate(), min_size=1, max_size=3).map(tuple)
        case Paths():
            return st.lists(_PATH, min_size=1, max_size=3).map(tuple)
        case Strings():
            return st.lists(_WORD, min_size=1, max_size=3).map(tuple)
        case Addresses():
            return st.lists(_listen(), min_size=1, max_size=3).map(tuple)
        case Switch():
            return st.booleans()
        case Integer() | Octal():
            return st.integers(int(low or 0), 10**9 if high is None else int(high))
        case Duration():
            halves = st.integers(int(low or 0) * 2, int(high or 0) * 2)
            return halves.map(lambda count: count / 2)
        case Choice() as choice:
            return st.sampled_from(sorted(set(choice.words.values())))
        case String():
            return _TEXT
    raise AssertionError(f"no values are known for the kind of {option.key}")


@dataclass
class Sources:
    """The three sources, to be filled and read."""

    folder: Path
    argv: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    named: bool = True  # whether --config names the file

    def write(self, source: str, option: Option, value: Any) -> str:
        """Write a value into a source; the name of its origin."""
        return getattr(self, source)(option, value)

    def argument(self, option: Option, value: Any) -> str:
        if option.positional:
            self.argv.append(option.kind.text(value))
            return option.kind.metavar
        if option.switch:
            flag = option.flag if value else option.negative_flag
            self.argv.append(flag)
            return flag
        for text in map(str, value) if option.multiple else [option.kind.text(value)]:
            self.argv += [option.flag, text]
        return option.flag

    def variable(self, option: Option, value: Any) -> str:
        self.environ[option.variable] = option.kind.text(value)
        return option.variable

    def file(self, option: Option, value: Any) -> str:
        if len(option.path) > 1:
            self.lines.append(f"[{option.path[0]}]")
        self.lines += ["", "# a comment", f"{option.path[-1]} = {option.kind.toml(value)}"]
        return f"{self.path}:{len(self.lines)}"

    @property
    def path(self) -> Path:
        return self.folder / "app.toml"

    def arguments(self) -> list[str]:
        """The command line; it names the file, which is written now."""
        if not self.named:
            return self.argv
        self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8", newline="")
        return [*self.argv, "--config", str(self.path)]


def get(settings: Any, option: Option) -> Any:
    """The value of an option in the settings."""
    for part in option.path:
        settings = getattr(settings, part)
    return settings


IN_FILE = [option for option in OPTIONS.values() if option.in_file]
