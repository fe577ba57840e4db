"""The source of a program: keyword arguments, named as Granian names its own.

The name of an option is its key with underscores: `ssl.client_verify` is `ssl_client_verify`. What
Granian calls otherwise is in `RENAMED`, and those names count beside the others.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import ConfigError
from granian_d.settings.kinds import KINDS, MARK
from granian_d.settings.options import OPTIONS, Option
from granian_d.settings.origin import argument, hint, one_line
from granian_d.settings.sources import Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

RENAMED: Final[dict[str, str]] = {
    "target": "app",
    "address": "host",
    "http1_max_buffer_size": "http1.buffer_size",
    "log_access": "access_log.enabled",
    "log_access_format": "access_log.fmt",
    "ssl_cert": "ssl.certificate",
    "ssl_key": "ssl.keyfile",
    "ssl_key_password": "ssl.keyfile_password",
    "reload": "reload.enabled",
}
DICTCONFIG: Final = "log_dictconfig"
# Less than these can be is the least that they can be, as in Granian.
RAISED: Final = frozenset(
    {"workers", "backlog", "backpressure", "runtime_threads", "runtime_blocking_threads"}
)
# Nothing, given as a number.
ZERO_IS_NONE: Final = frozenset({"backpressure", "workers_max_rss"})

KEYWORDS: Final[dict[str, Option]] = {
    **{key.replace(".", "_"): option for key, option in OPTIONS.items()},
    **{name: OPTIONS[key] for name, key in RENAMED.items() if key in OPTIONS},
}


def read_keywords(keywords: Mapping[str, Any], directory: str) -> Reading:
    """The keyword arguments, of types that JSON has; those that are None are not given.

    Args:
        keywords: by name; a value alone stands for a list of one where there may be several.
        directory: what relative paths are relative to.

    Raises:
        ConfigError: there is no option of that name.
    """
    reading = Reading()
    for position, (name, value) in enumerate(keywords.items()):
        if name not in KEYWORDS:
            raise ConfigError(one_line(f"{name}: unknown argument{hint(name, KEYWORDS)}"))
        option = KEYWORDS[name]
        if value is None or (value == 0 and option.key in ZERO_IS_NONE):
            continue
        reading.put(option, _value(option, value, directory), argument(position, name))
    return reading


def take_dictconfig(keywords: dict[str, Any]) -> dict[str, Any] | None:
    """Take `log_dictconfig` out: what the file of `log.config` would hold. None if it is not given.

    Raises:
        ConfigError: it is no dictionary.
    """
    config = keywords.pop(DICTCONFIG, None)
    if config is not None and not isinstance(config, dict):
        raise ConfigError(f"{DICTCONFIG}: is not a dictionary for logging.config.dictConfig")
    return config


def _value(option: Option, value: Any, directory: str) -> Any:
    if option.key in RAISED and type(value) is int and option.minimum is not None:
        return max(value, int(option.minimum))
    if option.kind.found and option.kind is not KINDS["application"]:
        return _complete(value, directory)
    return value


def _complete(written: Any, directory: str) -> Any:
    """A path or several, absolute; a credential and an abstract address are no paths."""
    if isinstance(written, list):
        return [_complete(one, directory) for one in written]
    if isinstance(written, str) and written and not written.startswith((MARK, "@")):
        return os.path.join(directory, written)
    return written
