"""Users and groups, by name or number: whom workers become, and whose a Unix socket is.

Reads the user database and /proc; changes nothing.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from granian_d.plan import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.settings.load import Loaded
    from granian_d.settings.toml_lines import KeyPath

# 2**32 - 1 is (uid_t) -1, which means "leave it" to chown(2) and setresuid(2).
_LARGEST_ID: Final = 2**32 - 2
_CAP_SETGID: Final = 6
_CAP_SETUID: Final = 7
_NUMBER: Final = re.compile(r"[0-9]{1,10}")


def plan_identity(loaded: Loaded) -> Identity:
    """Whom a worker becomes.

    Raises:
        ConfigError: there is no such user or group, or this process cannot become it.
    """
    settings = loaded.settings
    entry = _entry(loaded)
    gid = find_gid(loaded, ("group",), settings.group)
    uid = find_uid(loaded, ("user",), settings.user)
    if entry is not None and gid is None:
        gid = entry.pw_gid
    if uid is not None and gid is None:
        raise loaded.refusal(
            ("user",), f'"{settings.user}" has no entry and so no group; set group too'
        )
    _check_privileges(loaded, uid, gid)
    return Identity(
        uid=uid,
        gid=gid,
        groups=tuple(_groups(entry, gid)),
        user=entry.pw_name if entry else "",
        home=entry.pw_dir if entry else "",
        umask=settings.umask,
    )


def find_uid(loaded: Loaded, path: KeyPath, user: str | None) -> int | None:
    """The number of the user that is named at `path`; None for none.

    Raises:
        ConfigError: there is no such user.
    """
    if user is None:
        return None
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return _number(loaded, path, user, "user")


def find_gid(loaded: Loaded, path: KeyPath, group: str | None) -> int | None:
    """The number of the group that is named at `path`; None for none.

    Raises:
        ConfigError: there is no such group.
    """
    if group is None:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return _number(loaded, path, group, "group")


def _number(loaded: Loaded, path: KeyPath, text: str, what: str) -> int:
    if _NUMBER.fullmatch(text) and int(text) <= _LARGEST_ID:
        return int(text)
    raise loaded.refusal(path, f'there is no {what} "{text}"')


def _entry(loaded: Loaded) -> pwd.struct_passwd | None:
    """The user's entry in the database, if it is one that has an entry."""
    uid = find_uid(loaded, ("user",), loaded.settings.user)
    try:
        return None if uid is None else pwd.getpwuid(uid)
    except KeyError:
        return None


def _groups(entry: pwd.struct_passwd | None, gid: int | None) -> Iterator[int]:
    """The supplementary groups: the user's, and never those of the master."""
    if gid is None:
        return
    if entry is None:
        yield gid
    else:
        yield from sorted(set(os.getgrouplist(entry.pw_name, gid)))


def _check_privileges(loaded: Loaded, uid: int | None, gid: int | None) -> None:
    if loaded.surroundings.rehearsal:
        return  # the daemon has other privileges than who examines its settings
    settings = loaded.settings
    may_set_gid, may_set_uid = may_change_identity()
    if uid not in {None, os.geteuid()} and not may_set_uid:
        raise loaded.refusal(("user",), f'only root can become "{settings.user}"')
    if gid not in {None, os.getegid()} and not may_set_gid:
        name = "user" if settings.group is None else "group"
        raise loaded.refusal((name,), f'only root can become "{getattr(settings, name)}"')


def may_change_identity() -> tuple[bool, bool]:
    """Whether this process may set its gid and its uid.

    Capabilities decide, not the number 0: root in a container may lack them, and a service with
    AmbientCapabilities= may have them.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # no /proc
        return os.geteuid() == 0, os.geteuid() == 0
    effective = next(
        int(line.partition(":")[2], 16)
        for line in status.splitlines()
        if line.startswith("CapEff:")
    )
    return bool(effective >> _CAP_SETGID & 1), bool(effective >> _CAP_SETUID & 1)
