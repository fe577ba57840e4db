"""Severities of the log as an enumeration, for programs. A test holds it against the model."""

from enum import StrEnum


class LogLevels(StrEnum):
    """Least severity that is written; `warn` is `warning`, `notset` is `debug`."""

    critical = "critical"
    error = "error"
    warning = "warning"
    warn = "warn"
    info = "info"
    debug = "debug"
    notset = "notset"
