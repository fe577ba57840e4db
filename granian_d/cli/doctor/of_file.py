"""Checks of what is written: the settings, the files that they name, who may use these."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Final

from granian_d.cli.doctor.access import obstacle
from granian_d.cli.doctor.facts import MADE
from granian_d.cli.doctor.finding import Check, Finding
from granian_d.cli.unit_places import HOMES, TEMPORARY, below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.cli.doctor.access import Access, Obstacle
    from granian_d.cli.doctor.facts import Facts, Unit, Written

_SOON_S: Final = 14 * 86400  # a renewal that failed has been tried by then
_ANYWHERE: Final = {"4": "0.0.0.0", "6": "::"}  # noqa: S104 - as above
_API: Final = ("/dev", "/proc", "/sys")  # left out of ProtectSystem=strict (systemd.exec(5))


def _settings(facts: Facts) -> Iterator[Finding]:
    written = facts.written
    if written.error:
        yield Finding(
            "fault",
            written.error,
            "nothing starts with these settings, and no reload succeeds",
            f"granianctl check {facts.file}",
        )
    for remark in written.remarks:
        yield Finding("note", remark, "the file says something that has no effect, or is not known")


def _permissions(facts: Facts) -> Iterator[Finding]:
    found: dict[str, tuple[Access, Obstacle]] = {}
    for access in facts.accesses:
        each = obstacle(access)
        if each is None or (access.path == facts.file and not each.lacking):
            continue  # without the file, the settings have said so already
        first, before = found.get(each.step.path, (access, each))
        lacking = "".join(letter for letter in "rwx" if letter in before.lacking + each.lacking)
        found[each.step.path] = (first, each._replace(lacking=lacking))
    for access, each in found.values():
        yield _denied(facts, access, each)


def _denied(facts: Facts, access: Access, found: Obstacle) -> Finding:
    path, who = found.step.path, access.who.name
    if not found.lacking:
        return Finding(
            "fault", f"{access.what}: {path} does not exist", "nothing starts without it"
        )
    mend = f"chmod o+{found.lacking} {path}"
    if access.what == "ssl.keyfile" and facts.unit is not None:
        credential = f"LoadCredential=tls.key:{access.path}"
        mend = f'keyfile = "credential:tls.key", and {facts.edit(credential)}'
    elif access.who.uid is None:
        mend += ", or " + facts.edit("SupplementaryGroups=GROUP")
    return Finding(
        "fault",
        f"{access.what}: {who} may not {found.words} {path}",
        f"{access.path} cannot be used by the service",
        mend,
    )


def _hidden(facts: Facts) -> Iterator[Finding]:
    if facts.unit is None:
        return
    hiding: dict[str, str] = {}
    if facts.unit["ProtectHome"] in {"yes", "tmpfs"}:
        hiding |= dict.fromkeys(HOMES, f"ProtectHome={facts.unit['ProtectHome']}")
    if facts.unit["PrivateTmp"] not in {"", "no"}:
        hiding |= dict.fromkeys(TEMPORARY, "PrivateTmp=yes")
    shown = [entry.split(":")[-2 if entry.count(":") > 1 else -1] for entry in _bound(facts.unit)]
    for access in facts.accesses:
        for path in dict.fromkeys((access.path, access.steps[-1].path)):  # as named, without links
            where = next((each for each in hiding if below(path, each) and path != each), "")
            if where and not any(below(path, each) for each in shown):
                yield Finding(
                    "fault",
                    f"{access.what}: {path} is hidden from the service",
                    f"{hiding[where]} shows it an empty {where}",
                    facts.edit(f"BindReadOnlyPaths={path}"),
                )
                break


def _bound(unit: Unit) -> list[str]:
    """What BindPaths= and BindReadOnlyPaths= show: "from:to:options" or less."""
    return [
        entry.lstrip("-")
        for name in ("BindPaths", "BindReadOnlyPaths")
        for entry in (*unit.words(name), *" ".join(unit.directives.get(name, ())).split())
    ]


def _outputs(facts: Facts) -> Iterator[Finding]:
    if facts.unit is None:
        return
    made = facts.unit.made_directories
    writable = [each.lstrip("-+") for each in facts.unit.words("ReadWritePaths")]
    if facts.unit["PrivateTmp"] not in {"", "no"}:
        writable += TEMPORARY
    strict = facts.unit["ProtectSystem"] == "strict"
    for what, path, there in facts.outputs:
        directory = os.path.dirname(path)
        if directory in made or directory in TEMPORARY:
            continue
        if strict and not any(below(directory, each) for each in (*made, *writable, *_API)):
            yield Finding(
                "fault",
                f"{what}: the service may not write to {directory}",
                "all is read only to it but its own directories (ProtectSystem=strict)",
                f'{facts.file}: {what} = "{os.path.basename(path)}", which is below '
                + (made[-1] if what.endswith("log.file") else made[0] if made else "no directory"),
            )
        elif not there:
            yield Finding(
                "fault",
                f"{what}: {directory} does not exist",
                "the file cannot be made there",
                facts.edit(_directive_for(directory)),
            )


def _directive_for(directory: str) -> str:
    for key, parent in MADE.items():
        if below(directory, parent):
            return f"{key}={directory.removeprefix(parent).lstrip('/')}"
    return f"ReadWritePaths={directory}"


def _leftovers(facts: Facts) -> Iterator[Finding]:
    if facts.unit is None or facts.unit["DynamicUser"] == "yes":
        return
    for path in facts.leftovers:
        yield Finding(
            "fault",
            f"{path} is a link that leads nowhere, left by DynamicUser=yes",
            "systemd cannot make the directory there, and does not start the service",
            f"rm {path}",
        )


def _unix(facts: Facts) -> Iterator[Finding]:
    if facts.unit is None or facts.unit["DynamicUser"] != "yes":
        return
    runtime = [f"/run/{name}" for name in facts.unit.words("RuntimeDirectory")]
    for what, path, _ in facts.outputs:
        if what == "listen" and any(below(path, each) for each in runtime):
            yield Finding(
                "warning",
                f"the socket {path} is in a directory that nobody but root may enter",
                "a proxy of another user cannot connect (DynamicUser=yes)",
                f'listen = ["systemd:http"], and systemctl enable --now {facts.service}.socket',
            )


def _secrets(facts: Facts) -> Iterator[Finding]:
    for secret in facts.secrets:
        if secret.mode is None and secret.required:
            yield Finding(
                "fault",
                f"{secret.what}: {secret.path} does not exist",
                "systemd does not start the service without it",
                facts.edit(f"EnvironmentFile=-{secret.path}")
                if secret.what == "EnvironmentFile"
                else f"install -m 600 FILE {secret.path}",
            )
        elif secret.mode is not None and secret.mode & stat.S_IROTH:
            # What variables hold is not known; keys and credentials are secrets.
            variables = secret.what == "EnvironmentFile"
            yield Finding(
                "note" if variables else "warning",
                f"{secret.what}: everybody may read {secret.path}",
                f"whoever has an account here has {'its variables' if variables else 'the secret'}",
                f"chmod o-r {secret.path}",
            )


def _certificates(facts: Facts) -> Iterator[Finding]:
    for shown in facts.certificates:
        if shown.fault and not facts.written.error:
            yield Finding(
                "fault",
                f"{shown.file}: {shown.fault}",
                "nothing starts, and no reload succeeds",
                "install certificate and key that belong together, and reload",
            )
        if shown.not_after is None or shown.not_after > facts.now + _SOON_S:
            continue
        end = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(shown.not_after))
        if shown.not_after <= facts.now:
            yield Finding(
                "fault",
                f"{shown.file} has expired ({end})",
                "clients refuse to talk to the service",
                "renew it; the daemon takes a new file by itself, a credential by a restart",
            )
        else:
            days = int((shown.not_after - facts.now) / 86400)
            yield Finding(
                "warning",
                f"{shown.file} expires in {days} d ({end})",
                "clients refuse to talk to the service from then on",
                "renew it; whatever should have done so has not",
            )


def _neighbours(facts: Facts) -> Iterator[Finding]:
    for name, other in facts.neighbours.items():
        shared = sorted(_clashes(facts.written, other))
        if shared:
            yield Finding(
                "warning",
                f"{', '.join(shared)} is listened on by granian@{name} too",
                "only one of them can be started",
                f"another address in {facts.file}",
            )


def _clashes(one: Written, other: Written) -> Iterator[str]:
    for ours in one.tcp:
        for theirs in other.tcp:
            family = "6" if ":" in ours.host else "4"
            hosts = {ours.host, theirs.host}
            same = len(hosts) == 1 or (
                _ANYWHERE[family] in hosts and (":" in theirs.host) == (":" in ours.host)
            )
            if ours.port == theirs.port and same:
                yield ours.key.removeprefix("tcp:")
    plans = [each.plan.listeners for each in (one, other) if each.plan]
    keys = [{each.key for each in plan if each.kind == "unix"} for plan in plans]
    if len(keys) == 2:
        yield from keys[0] & keys[1]


CHECKS: Final = (
    Check("settings", "fault", "the TOML file, as `granianctl check` judges it", _settings),
    Check(
        "permissions",
        "fault",
        "each directory on the way to the file, the application, its environment, certificates"
        " and keys: the one that denies the service's user",
        _permissions,
    ),
    Check("hidden", "fault", "what `ProtectHome=` and `PrivateTmp=` hide from it", _hidden),
    Check("outputs", "fault", "directories of logs, pid file and sockets that it makes", _outputs),
    Check("leftovers", "fault", "what a user that is no longer dynamic has left", _leftovers),
    Check("unix", "warning", "a Unix socket where a proxy cannot reach it", _unix),
    Check(
        "secrets",
        "fault",
        "keys, credentials and `EnvironmentFile=`: that they are there, and not everybody's",
        _secrets,
    ),
    Check(
        "certificates",
        "fault",
        "certificates that have expired or will within 14 days, and keys of others",
        _certificates,
    ),
    Check("neighbours", "warning", "another instance on the same address", _neighbours),
)
