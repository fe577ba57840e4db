"""The kinds of values: how each is written by a user, read, and written back.

An argument or a variable of the environment is `Text` and is parsed; a TOML value has a type of its
own, which is kept and judged strictly (`workers = "4"` is a string and no number). Only kinds that
TOML cannot express (durations, octal modes, addresses) are parsed from TOML strings too.

A kind knows nothing of its option: bounds are the model's, the words for them come from here.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final, Literal

from granian_d.settings.addresses import parse_address
from granian_d.settings.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_DURATION = re.compile(
    r"(?:(?P<d>[0-9]{1,9})d)?(?:(?P<h>[0-9]{1,9})h)?"
    r"(?:(?P<m>[0-9]{1,9})m)?(?:(?P<s>[0-9]{1,9})s)?"
)
_OCTAL = re.compile(r"0[0-7]{1,9}")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,8}")
PERMISSION_BITS: Final = 0o777
MARK: Final = "credential:"  # instead of a string: the content, or the file, of a credential
_MAPPED_BITS: Final = 96  # before an IPv4 address in IPv6 (RFC 4291 2.5.5.2)
_UNITS_S: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_TRUTHS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}


class Text(str):
    """A value that came as text, from an argument or the environment, and is still to be parsed."""

    __slots__ = ()


class Kind:
    """One kind of values.

    A parser raises `Refusal` when it has something to say that `expected` does not say already,
    and a plain ValueError otherwise.
    """

    metavar = "TEXT"  # its placeholder in the help
    noun = "a value"  # what an error line calls it
    quoted = True  # whether TOML writes it as a string
    holds_strings = False  # whether any text is a value, and a credential may stand for it
    secret = False  # whether nobody may be shown a value
    found: Literal["", "file", "directory"] = ""  # what in the file system a shell may propose

    def read(self, written: Any) -> Any:
        """The value of what was written; what has a wrong type is left to the model to refuse."""
        return self.parse(written) if isinstance(written, Text) else written

    def parse(self, text: str) -> Any:
        """The value of a text."""
        raise NotImplementedError

    def toml(self, value: Any) -> str:
        """The value as TOML."""
        if not self.quoted:
            return self.text(value)
        # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
        return json.dumps(self.text(value), ensure_ascii=False).replace("\x7f", "\\u007f")

    def text(self, value: Any) -> str:
        """The value as an argument or a variable."""
        return str(value)

    def expected(self, minimum: float | None, maximum: float | None) -> str:
        """What a user should have written, to follow "is not"."""
        if minimum is not None and maximum is not None:
            return f"{self.noun} from {self.text(minimum)} to {self.text(maximum)}"
        return self.noun if minimum is None else f"{self.noun} >= {self.text(minimum)}"


class String(Kind):
    """Any text."""

    holds_strings = True

    def __init__(
        self,
        metavar: str,
        noun: str,
        *,
        may_be_empty: bool = False,
        found: Literal["", "file", "directory"] = "",
    ) -> None:
        self.metavar = metavar
        self.noun = noun
        self.may_be_empty = may_be_empty
        self.found = found

    def read(self, written: Any) -> Any:
        """The string, wherever it came from."""
        return self.parse(written) if isinstance(written, str) else written

    def parse(self, text: str) -> str:
        """The text, as a plain string."""
        if "\0" in text:
            raise Refusal("a NUL character cannot be part of it")
        if not text and not self.may_be_empty:
            raise ValueError(text)
        return str(text)


class Secret(String):
    """A text that is never shown."""

    secret = True

    def __init__(self) -> None:
        super().__init__("TEXT", "a non-empty string")


class FileName(String):
    """The path of a file that is read; a credential stands for the file itself, not its content."""

    holds_strings = False

    def __init__(self) -> None:
        super().__init__("FILE", "a path", found="file")


class Switch(Kind):
    """On or off."""

    metavar = "true|false"
    noun = "true or false"
    quoted = False

    def parse(self, text: str) -> bool:
        """The truth of the usual words."""
        try:
            return _TRUTHS[text.lower()]
        except KeyError:
            raise ValueError(text) from None

    def text(self, value: Any) -> str:
        """The value as TOML has it too."""
        return "true" if value else "false"


class Integer(Kind):
    """A whole number."""

    metavar = "INTEGER"
    noun = "an integer"
    quoted = False

    def parse(self, text: str) -> int:
        """Decimal digits only: int() would take underscores, blanks and other scripts' digits."""
        if not _INTEGER.fullmatch(text):
            raise ValueError(text)
        return int(text)


class Duration(Kind):
    """Seconds, plain or as `1d2h3m4s`."""

    metavar = "DURATION"
    noun = "a duration (such as 90 or 1h30m)"
    quoted = False

    def read(self, written: Any) -> Any:
        """Seconds as a float; TOML may write a number or a string."""
        if isinstance(written, str):
            return self.parse(written)
        return float(written) if type(written) is int else written

    def parse(self, text: str) -> float:
        """The seconds of `90`, `1.5` or `1m30s`."""
        if _SECONDS.fullmatch(text):
            return float(text)
        match = _DURATION.fullmatch(text)
        if not match or not text:
            raise ValueError(text)
        return float(sum(int(match[unit] or 0) * _UNITS_S[unit] for unit in _UNITS_S))

    def text(self, value: Any) -> str:
        """Seconds, without a fraction that says nothing."""
        return str(int(value)) if value == int(value) else repr(value)

    def expected(self, minimum: float | None, maximum: float | None) -> str:
        """The bounds in their unit."""
        return super().expected(minimum, maximum) + " seconds"


class Octal(Kind):
    """Permission bits. As in Granian, digits that do not begin with 0 are decimal."""

    metavar = "OCTAL"
    noun = "an octal mode"

    def read(self, written: Any) -> Any:
        """The bits; TOML may write "0660" or 0o660."""
        if type(written) is int:
            return self._decimal(str(written))
        return self.parse(written) if isinstance(written, str) else written

    def parse(self, text: str) -> int:
        """The bits of `0660`."""
        if _OCTAL.fullmatch(text):
            return int(text, 8)
        return self._decimal(text)

    def _decimal(self, text: str) -> int:
        if not _DECIMAL.fullmatch(text):
            raise ValueError(text)
        # Most who write 660 mean 0660, which is another number: 660 has bits that no mode has.
        if int(text) > PERMISSION_BITS and _OCTAL.fullmatch("0" + text):
            raise Refusal(f'{text} is decimal without a leading 0; did you mean "0{text}"?')
        return int(text)

    def text(self, value: Any) -> str:
        """Four octal digits."""
        return f"{int(value):04o}"


class Choice(Kind):
    """One of a few words, in any case; an alias is read and means its word."""

    def __init__(self, choices: tuple[str, ...], aliases: Mapping[str, str]) -> None:
        self.words = {word: word for word in choices} | dict(aliases)
        self.metavar = "|".join(self.words)
        self.noun = "one of " + ", ".join(self.words)

    def read(self, written: Any) -> Any:
        """The word that is meant."""
        return self.parse(written) if isinstance(written, str) else written

    def parse(self, text: str) -> str:
        """The word that is meant."""
        try:
            return self.words[text.lower()]
        except KeyError:
            raise ValueError(text) from None


class OneAddress(Kind):
    """The address of one listener."""

    metavar = "ADDRESS"
    noun = "a listen address"

    def read(self, written: Any) -> Any:
        """The parsed address."""
        return parse_address(written) if isinstance(written, str) else written


class Several(Kind):
    """Several values of one option: texts, or tables where TOML is at hand."""

    quoted = False

    def read(self, written: Any) -> Any:
        """A tuple; each element reads itself (as `Listen` in the model)."""
        return tuple(written) if isinstance(written, list) else written

    def toml(self, value: Any) -> str:
        """A list of strings."""
        return json.dumps([str(item) for item in value], ensure_ascii=False)

    def text(self, value: Any) -> str:
        """The values with blanks between, as a variable has them."""
        return " ".join(str(item) for item in value)

    def split(self, text: str) -> list[str]:
        """The values in a variable, each still to be read."""
        return text.split()


class Proxies(Kind):
    """Who is believed: addresses and networks of the Internet Protocol, and two words."""

    metavar = "ADDRESS,..."
    noun = 'a list of IP addresses, networks such as 10.0.0.0/8, "unix" and "*"'
    quoted = False

    def read(self, written: Any) -> Any:
        """Each in its one canonical form."""
        if isinstance(written, Text):
            return self.parse(written)
        if isinstance(written, list):
            return tuple(_canonical_proxy(entry) for entry in written)
        return written

    def parse(self, text: str) -> tuple[str, ...]:
        """The entries between commas; none of an empty text."""
        return tuple(_canonical_proxy(entry.strip()) for entry in text.split(",") if text)

    def toml(self, value: Any) -> str:
        """A list of strings."""
        return json.dumps(list(value))

    def text(self, value: Any) -> str:
        """The entries with commas between."""
        return ",".join(value)


def _canonical_proxy(entry: Any) -> str:
    if entry in ("unix", "*"):
        return str(entry)
    if not isinstance(entry, str):
        raise Refusal("each entry of it is a string")
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError as error:
        words = 'an IP address, a network such as 10.0.0.0/8, "unix" nor "*"'
        raise Refusal(f'"{entry}" is neither {words}') from error
    if network.network_address != ipaddress.ip_interface(entry).ip:
        raise Refusal(f'"{entry}" is not a network; did you mean {network}?')
    mapped = network.network_address.ipv4_mapped if network.version == 6 else None
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        network = ipaddress.ip_network((mapped, network.prefixlen - _MAPPED_BITS))
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address if single else network)


class Addresses(Several):
    """Listeners."""

    metavar = "ADDRESS"
    noun = "a list of addresses"
    holds_strings = True


class Strings(Several):
    """Several texts."""

    def __init__(self, one: Kind, noun: str) -> None:
        self.metavar = one.metavar
        self.noun = noun
        self.found = one.found
        self.holds_strings = one.holds_strings
        self._one = one

    def read(self, written: Any) -> Any:
        """A tuple of what the kind of one reads."""
        if not isinstance(written, list):
            return written
        return tuple(self._one.read(item) for item in written)


class Paths(Strings):
    """Several paths; in a variable they have what separates those of PATH between them."""

    def text(self, value: Any) -> str:
        """The paths as a variable has them."""
        return os.pathsep.join(value)

    def split(self, text: str) -> list[str]:
        """The paths in a variable; a credential has the separator within itself."""
        paths: list[str] = []
        for part in text.split(os.pathsep):
            if paths and paths[-1] == MARK.rstrip(os.pathsep):
                paths[-1] = MARK + part
            elif part:
                paths.append(part)
        return paths


class Certificates(Several):
    """Certificates with their keys."""

    metavar = "CERT,KEY"
    noun = "a list of CERT,KEY"
    found = "file"


KINDS: Final[dict[str, Kind]] = {
    "string": String("TEXT", "a non-empty string"),
    "path": String("PATH", "a path", found="file"),
    "directory": String("PATH", "a path", found="directory"),
    "prefix": String("PATH", "a path that begins with /", may_be_empty=True),
    "application": String("APP", "module:attribute or path/to/file.py:attribute", found="file"),
    "secret": Secret(),
    "file": FileName(),
    "switch": Switch(),
    "integer": Integer(),
    "duration": Duration(),
    "octal": Octal(),
    "address": OneAddress(),
    "addresses": Addresses(),
    "proxies": Proxies(),
    "files": Paths(FileName(), "a list of paths"),
    "directories": Paths(String("PATH", "a path", found="directory"), "a list of paths"),
    "strings": Strings(String("TEXT", "a non-empty string"), "a list of strings"),
    "prefixes": Strings(
        String("PATH", "a path that begins with /"), "a list of paths that begin with /"
    ),
    "certificates": Certificates(),
}
