"""Which paths are files', what below a mount is never served, and where symbolic links may lead."""

from __future__ import annotations

import os
import shutil

import pytest

from granian_d.plan import MountPlan

from .shelf import Shelf

MATCHED = {
    "/static": "/static/",
    "/static/": "/static/",
    "/static/x": "/static/",
    "/st%61tic/x": "/static/",
    "/static/media/x": "/static/media/",
    "/static/mediax": "/static/",
    "/m%C3%A9dia/x": "/m\u00e9dia/",
    "/staticx": None,
    "/Static/x": None,
    "/static%2Fx": None,
    "/": None,
    "*": None,
    "": None,
    "/x/static/x": None,
}


@pytest.mark.parametrize(("path", "route"), MATCHED.items())
def test_routes_are_whole_segments_and_the_longest_wins(tmp_path, path, route):
    """Several mounts."""
    routes = ["/static/", "/static/media/", "/m\u00e9dia/"]
    mounts = tuple(
        MountPlan(route=route, directory=str(tmp_path / str(at))) for at, route in enumerate(routes)
    )
    for at, name in enumerate(routes):
        (tmp_path / str(at)).mkdir()
        (tmp_path / str(at) / "x").write_text(name)
    shelf = Shelf(tmp_path, mounts=mounts)
    if route is None:
        assert shelf.passes_on(path)
    elif path.endswith("/x"):
        assert shelf.ask(path).body.decode() == route
    else:
        assert shelf.ask(path).status == 404


def test_a_mount_at_the_root_has_everything(tmp_path):
    shelf = Shelf(tmp_path, mounts=(MountPlan(route="", directory=str(tmp_path)),), index="i.html")
    shelf.put("i.html")
    assert shelf.ask("/").status == 200
    assert shelf.ask("/a/b").status == 404
    assert shelf.passes_on("*")


# Below a mount that has the files a.txt, "b c.txt", .env, .git/config and .well-known/x/y, beside a
# file secret.txt. What is refused and what is not there look alike.
TRAVERSAL = {
    "/static/a.txt": 200,
    "/static//a.txt": 200,
    "/static/%61%2Etxt": 200,
    "/static/b%20c.txt": 200,
    "/static/.well-known/x/y": 200,
    "/static/../secret.txt": 404,
    "/static/%2e%2e/secret.txt": 404,
    "/static/.%2E/secret.txt": 404,
    "/static/..%2fsecret.txt": 404,
    "/static/%2e%2e%2fsecret.txt": 404,
    "/static/..%5csecret.txt": 404,
    "/static/..%c0%afsecret.txt": 404,
    "/static/%252e%252e/secret.txt": 404,
    "/static/a.txt/../a.txt": 404,
    "/static/x/../a.txt": 404,
    "/static/./a.txt": 404,
    "/static/a.txt%00": 404,
    "/static/a.txt%00.png": 404,
    "/static/%00": 404,
    "/static/a%2ftxt": 404,
    "/static/%2fetc%2fpasswd": 404,
    "/static//etc/passwd": 404,
    "/static/.env": 404,
    "/static/%2eenv": 404,
    "/static/.git/config": 404,
    "/static/.well-known/.env": 404,
    "/static/x/.well-known/y": 404,
    "/static/...": 404,
    "/static/%": 404,
    "/static/%zz": 404,
}


@pytest.mark.parametrize("symlinks", ["off", "inside", "on"])
def test_no_path_leads_out_of_a_mount(tmp_path, symlinks):
    shelf = Shelf(tmp_path / "mount", symlinks=symlinks)
    for name in (
        *("a.txt", "b c.txt", ".env", ".git/config", ".well-known/x/y", ".well-known/.env"),
        *("x/.well-known/y", "..."),
    ):
        shelf.put(name)
    (tmp_path / "secret.txt").write_text("secret")
    answered = {path: shelf.ask(path).status for path in TRAVERSAL}
    assert answered == TRAVERSAL


# Links below a mount, and under which policies they are followed.
LINKS = {
    "to-file": ("a.txt", {"inside", "on"}),
    "to-directory/a.txt": ("deep", {"inside", "on"}),
    "absolute": ("{mount}/a.txt", {"inside", "on"}),
    "chain": ("to-file", {"inside", "on"}),
    "out": ("../secret.txt", {"on"}),
    "absolute-out": ("{mount}/../secret.txt", {"on"}),
    "out-directory/secret.txt": ("..", {"on"}),
    "sibling/a.txt": ("../mount-of-another", {"on"}),
    "out-and-in": ("../mount/a.txt", {"inside", "on"}),
    "dangling": ("nothing", set()),
    "loop": ("loop", set()),
}


@pytest.fixture
def linked(tmp_path):
    mount = tmp_path / "mount"
    (tmp_path / "mount-of-another").mkdir()
    for place in (mount / "a.txt", mount / "deep/a.txt", tmp_path / "mount-of-another/a.txt"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("content")
    (tmp_path / "secret.txt").write_text("content")
    for path, (to, _) in LINKS.items():
        os.symlink(to.format(mount=mount), mount / path.partition("/")[0])
    return mount


@pytest.mark.parametrize("symlinks", ["off", "inside", "on"])
def test_where_links_may_lead(linked, symlinks):
    shelf = Shelf(linked, symlinks=symlinks)
    followed = {path for path in LINKS if shelf.ask(f"/static/{path}").status == 200}
    assert followed == {path for path, (_, where) in LINKS.items() if symlinks in where}
    assert shelf.ask("/static/deep/a.txt").status == 200


@pytest.mark.parametrize("symlinks", ["off", "inside", "on"])
def test_the_way_to_a_mount_may_be_a_link_and_change(tmp_path, symlinks):
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "a.txt").write_text(release)
    current = tmp_path / "current"
    current.symlink_to("1")
    shelf = Shelf(current, symlinks=symlinks)
    assert shelf.ask("/static/a.txt").body == b"1"
    current.unlink()
    current.symlink_to("2")
    assert shelf.ask("/static/a.txt").body == b"2"
    shutil.rmtree(tmp_path / "2")
    assert shelf.ask("/static/a.txt").status == 404


def test_a_mount_of_everything(tmp_path):
    """The root directory is a mount like others."""
    (tmp_path / "a.txt").write_text("content")
    shelf = Shelf(tmp_path.__class__("/"))
    inside = tmp_path.resolve().as_posix()
    assert shelf.ask(f"/static{inside}/a.txt").status == 200
