"""argv + environment + TOML -> Settings, with the origin of each value.

The order of things: read the three sources, put credentials in their places, let the model judge
what takes precedence, translate its faults into one line, fill in the computed defaults.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from granian_d.errors import ConfigError
from granian_d.settings.credentials import read_credential, references, replace
from granian_d.settings.explain import explain
from granian_d.settings.model import Settings, complete
from granian_d.settings.origin import dotted, option_path, refuse
from granian_d.settings.provenance import Provenance
from granian_d.settings.refusal import Refusal
from granian_d.settings.sources import (
    Reading,
    ReadingSource,
    read_arguments,
    read_environment,
    read_toml,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from granian_d.settings.origin import Fault, Origin
    from granian_d.settings.toml_lines import KeyPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the daemon is given beside its settings."""

    inherited: tuple[str, ...] | None  # names of the passed sockets; None: a rehearsal elsewhere
    runtime_directory: str
    logs_directory: str
    credentials_directory: str
    variables: frozenset[str]  # names of those in the environment
    managed: bool  # the daemon is a service of systemd
    dictconfig: Mapping[str, Any] | None  # of logging, which a program gives instead of a file
    debug: bool  # the manager wants to know why the start before failed (DEBUG_INVOCATION)

    @property
    def rehearsal(self) -> bool:
        """Whether the settings are only examined, by another process than the daemon's."""
        return self.inherited is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings that are valid, each option for itself."""

    settings: Settings
    provenance: Provenance
    surroundings: Surroundings
    warnings: tuple[str, ...]

    def origin(self, *path: str | int) -> Origin:
        """Where the value at `path` was written."""
        return self.provenance.origin(path)

    def line(self, path: KeyPath, reason: str) -> str:
        """The error line about the value at `path`. Of a secret it says as little as it can."""
        if secret := self.provenance.secret(path):
            reason = f"the content of {secret} cannot be used here"
        return self.provenance.fault(path, reason).line

    def beside(self, path: KeyPath, written: str) -> str:
        """A path, absolute: relative to the TOML file that names it, or else to where we are."""
        directory = ""
        if self.origin(*path).in_file and self.settings.config is not None:
            directory = os.path.dirname(self.settings.config)
        # abspath asks for the current directory only if it must: a deploy may have removed it.
        return os.path.abspath(os.path.join(directory, written))

    def refusal(self, path: KeyPath, reason: str) -> ConfigError:
        """The error that says what is wrong with the value at `path`."""
        return ConfigError(self.line(path, reason))


def load(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    inherited: tuple[str, ...] | None = (),
) -> Loaded:
    """The settings that these sources give.

    Args:
        argv: the command line, without the program.
        environ: the environment, of which GRANIAN_* is read, and what systemd says there.
        inherited: the names of the sockets that systemd passed, one for each. None when the
            settings are only examined: then neither sockets nor privileges nor, where there is no
            directory for them, credentials are known, and none is missed.

    Raises:
        ConfigError: with one line that says what is wrong, where, and what was expected.
    """
    written = (read_arguments(argv), read_environment(environ))
    return _load(written, environ, inherited)


def load_keywords(
    keywords: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    directory: str,
    inherited: tuple[str, ...] | None = (),
) -> Loaded:
    """The settings that a program gives as keyword arguments; of GRANIAN_* nothing is read.

    Args:
        keywords: see `keywords.read_keywords`.
        environ: of which systemd's variables are read, as by `load`.
        directory: what relative paths are relative to.
        inherited: as of `load`.

    Raises:
        ConfigError: as by `load`.
    """
    from granian_d.settings import keywords as room  # noqa: PLC0415 - no daemon has a use for it

    rest = dict(keywords)
    dictconfig = room.take_dictconfig(rest)
    return _load((room.read_keywords(rest, directory),), environ, inherited, dictconfig)


def _load(
    written: tuple[Reading, ...],
    environ: Mapping[str, str],
    inherited: tuple[str, ...] | None,
    dictconfig: Mapping[str, Any] | None = None,
) -> Loaded:
    surroundings = Surroundings(
        inherited=inherited,
        runtime_directory=_first(environ.get("RUNTIME_DIRECTORY", "")),
        logs_directory=_first(environ.get("LOGS_DIRECTORY", "")),
        credentials_directory=environ.get("CREDENTIALS_DIRECTORY", ""),
        variables=frozenset(environ),
        managed=environ.get("SYSTEMD_EXEC_PID") == str(os.getppid()),  # who started this planner
        dictconfig=dictconfig,
        debug=environ.get("DEBUG_INVOCATION") == "1",
    )
    provenance = Provenance(_with_file(written))
    warnings = [line for reading in provenance.readings for line in reading.warnings]
    warnings += _put_credentials(provenance, surroundings)
    try:
        settings = _validate(provenance.readings)
    except ValidationError as error:
        raise refuse(explain(error, provenance)) from error
    return Loaded(
        settings=complete(settings),
        provenance=provenance,
        surroundings=surroundings,
        warnings=tuple(warnings),
    )


def _first(directories: str) -> str:
    """The first of the directories that systemd separates by colons."""
    return directories.partition(":")[0]


def _with_file(written: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """The sources, and the TOML file that one of them names."""
    for reading in written:
        if file := reading.values.get("config"):
            return (*written, read_toml(str(file)))
    return written


def _validate(readings: tuple[Reading, ...]) -> Settings:
    """The model's judgement on the merged sources, the first one taking precedence."""
    given: dict[str, Any] = {"sources": [ReadingSource(Settings, reading) for reading in readings]}
    return Settings(**given)


def _put_credentials(provenance: Provenance, surroundings: Surroundings) -> list[str]:
    """Put the credentials into the values that name them; warnings about those left alone."""
    directory = surroundings.credentials_directory
    faults: list[Fault] = []
    warnings: list[str] = []
    for reading in provenance.readings:
        for path, reference in list(references(reading.values)):
            if provenance.owner(path) is not reading:
                continue
            reading.secrets[path] = reference
            if surroundings.rehearsal and not directory:
                reading.drop(option_path(path))
                warnings.append(f"{dotted(path)}: {reference} is not known here, not examined")
                continue
            try:
                replace(reading.values, path, read_credential(directory, reference))
            except Refusal as error:
                faults.append(provenance.fault(path, str(error)))
    if faults:
        raise refuse(faults)
    return warnings
