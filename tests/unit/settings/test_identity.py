"""Whom workers become. The user database is this machine's; the privileges are made up."""

import grp
import os
import pwd

import pytest

from granian_d.errors import ConfigError
from granian_d.settings import identity, load, resolve

ROOT = pwd.getpwuid(0)
OTHER = next(entry for entry in pwd.getpwall() if entry.pw_uid not in {0, os.geteuid()})
OTHER_GROUP = next(
    entry for entry in grp.getgrall() if entry.gr_gid not in {0, os.getegid(), OTHER.pw_gid}
)
UNUSED = max(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid < 60000) + 1


@pytest.fixture
def privileged(monkeypatch):
    monkeypatch.setattr(identity, "may_change_identity", lambda: (True, True))


@pytest.fixture
def unprivileged(monkeypatch):
    monkeypatch.setattr(identity, "may_change_identity", lambda: (False, False))


def become(*argv, inherited=()):
    return resolve(load(["main", *argv], {}, inherited=inherited)).worker.identity


def refused(*argv):
    with pytest.raises(ConfigError) as caught:
        become(*argv)
    return str(caught.value)


@pytest.mark.usefixtures("privileged")
class TestWithPrivileges:
    def test_nobody_else(self):
        nobody = become()
        assert (nobody.uid, nobody.gid, nobody.groups, nobody.user, nobody.home, nobody.umask) == (
            None,
            None,
            (),
            "",
            "",
            None,
        )

    @pytest.mark.parametrize("name", [OTHER.pw_name, str(OTHER.pw_uid)])
    def test_a_user_by_name_or_number(self, name):
        other = become("--user", name)
        assert (other.uid, other.gid) == (OTHER.pw_uid, OTHER.pw_gid)
        assert (other.user, other.home) == (OTHER.pw_name, OTHER.pw_dir)
        assert set(other.groups) == set(os.getgrouplist(OTHER.pw_name, OTHER.pw_gid))

    @pytest.mark.parametrize("group", [OTHER_GROUP.gr_name, str(OTHER_GROUP.gr_gid)])
    def test_a_group_in_place_of_the_users(self, group):
        other = become("--user", OTHER.pw_name, "--group", group)
        assert (other.uid, other.gid) == (OTHER.pw_uid, OTHER_GROUP.gr_gid)
        assert OTHER_GROUP.gr_gid in other.groups

    def test_a_group_alone_brings_no_groups_of_the_master(self):
        other = become("--group", OTHER_GROUP.gr_name)
        assert (other.uid, other.gid, other.groups) == (
            None,
            OTHER_GROUP.gr_gid,
            (OTHER_GROUP.gr_gid,),
        )

    def test_a_user_without_an_entry_needs_a_group(self):
        assert (
            refused("--user", str(UNUSED))
            == f'--user: "{UNUSED}" has no entry and so no group; set group too'
        )
        other = become("--user", str(UNUSED), "--group", str(UNUSED))
        assert (other.uid, other.gid, other.groups, other.user, other.home) == (
            UNUSED,
            UNUSED,
            (UNUSED,),
            "",
            "",
        )

    def test_a_name_that_nobody_has(self):
        assert refused("--user", "nobody-at-all") == '--user: there is no user "nobody-at-all"'
        assert refused("--group", "nobody-at-all") == '--group: there is no group "nobody-at-all"'
        assert refused("--user", "4294967295") == '--user: there is no user "4294967295"'

    def test_the_umask_needs_no_user(self):
        assert become("--umask", "027").umask == 0o027


@pytest.mark.usefixtures("unprivileged")
class TestWithoutPrivileges:
    def test_another_user(self):
        assert refused("--user", OTHER.pw_name) == f'--user: only root can become "{OTHER.pw_name}"'

    def test_another_group(self):
        assert (
            refused("--group", OTHER_GROUP.gr_name)
            == f'--group: only root can become "{OTHER_GROUP.gr_name}"'
        )

    def test_the_same_user_and_group(self):
        same = become("--user", str(os.geteuid()), "--group", str(os.getegid()))
        assert (same.uid, same.gid) == (os.geteuid(), os.getegid())

    def test_in_a_rehearsal_privileges_are_not_missed(self):
        assert become("--user", OTHER.pw_name, inherited=None).uid == OTHER.pw_uid


def test_the_privileges_of_this_process():
    """Root has them unless something took them away; nobody else has them unless given."""
    groups, users = identity.may_change_identity()
    try:
        os.setresuid(-1, -1, -1)
        os.setgroups(os.getgroups())
    except PermissionError:
        assert not groups
    else:
        assert groups
    assert isinstance(users, bool)
