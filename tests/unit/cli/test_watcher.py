"""The watcher, watching: what it tells, what does not count, and its end."""

from __future__ import annotations

import select
import threading
from contextlib import contextmanager

import pytest

from granian_d.cli.watcher import own_files, run, tell
from granian_d.control.channel import Changed, Channel, Failed, Gone, Watching
from granian_d.plan import WatchPlan
from tests.unit.plan.specimens import daemon_plan, log_plan, tcp, unix

PATIENCE_S = 30


def plan_of(directory, **changes):
    nothing = {"ignore_dirs": (), "ignore_patterns": (), "ignore_paths": ()}
    facts = {"tick_s": 0.05, "ignore_worker_failure": False, **nothing, **changes}
    return WatchPlan(paths=(str(directory),), **facts)


def heard(channel):
    """The next message."""
    assert select.select([channel], [], [], PATIENCE_S)[0]
    message, _ = channel.receive()
    return message


@contextmanager
def watching(plan, own=(), wanted=None):
    """The master's end of the channel to a watcher, whose exit status is noted at the end."""
    ours, theirs = Channel.pair()
    codes = []
    body = threading.Thread(target=lambda: codes.append(run(plan, theirs, own, wanted)))
    body.start()
    try:
        assert heard(ours) == Watching()
        yield ours
    finally:
        ours.close()
        body.join(PATIENCE_S)
        theirs.close()
    assert codes == [0], "it ends when nobody listens any more"


def test_what_has_changed_is_told_but_for_what_does_not_count(tmp_path):
    for name in ("kept", "var", "node_modules", "skipped"):
        (tmp_path / name).mkdir()
    plan = plan_of(
        tmp_path,
        ignore_dirs=("skipped",),
        ignore_patterns=(r"\.tmp$",),
        ignore_paths=(str(tmp_path / "var"),),
    )
    with watching(plan, {str(tmp_path / "own.log")}) as channel:
        ignored = ["var/a.py", "node_modules/b.js", "skipped/c.py", "d.tmp", "own.log", "e.pyc"]
        for name in (*ignored, "kept/app.py", "variables.py"):
            (tmp_path / name).write_text("x")
        told = []
        while not any("variables.py" in words for words in told):
            message = heard(channel)
            assert isinstance(message, Changed)
            told.append(message.files)
    text = " ".join(told)
    assert f"added {tmp_path}/kept/app.py" in text
    assert not [name for name in ignored if name in text]


class OnlyPages:
    def __call__(self, change, path):
        return path.endswith(".html")


@pytest.mark.parametrize("wanted", [OnlyPages, OnlyPages()])
def test_a_filter_of_ones_own(tmp_path, wanted):
    with watching(plan_of(tmp_path), wanted=wanted) as channel:
        (tmp_path / "app.py").touch()
        (tmp_path / "page.html").touch()
        message = heard(channel)
        assert "page.html" in message.files
        assert "app.py" not in message.files


def test_a_path_that_has_gone(tmp_path):
    ours, theirs = Channel.pair()
    assert run(plan_of(tmp_path / "gone"), theirs, ()) == 71
    theirs.close()
    message = heard(ours)
    assert isinstance(message, Failed)
    assert message.reason == f"there is no {tmp_path}/gone"
    with pytest.raises(Gone):
        ours.receive()
    ours.close()


def test_what_the_daemon_writes_itself(tmp_path):
    plan = daemon_plan(tcp(), unix(tmp_path / "sock"), log=log_plan(file=str(tmp_path / "log")))
    assert {str(tmp_path / "sock"), str(tmp_path / "log")} <= own_files(plan)


class Kind:
    def raw_str(self):
        return "modified"


def test_a_batch_in_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = [(Kind(), f"{tmp_path}/{number}.py") for number in range(7)]
    words = ", ".join(f"modified {number}.py" for number in range(5))
    assert tell(changes) == f"{words} and 2 more"
    assert (
        tell([(Kind(), "/else/where\n[INFO] forged")]) == r"modified '/else/where\n[INFO] forged'"
    )
