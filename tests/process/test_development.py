"""Files that change under a daemon in development: what a browser sees of it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.process.conftest import APPLICATION
from tests.process.daemon import fetch, wait_until

WATCHED = "[reload]\nenabled = true\n"
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def develop(serve):
    """A daemon whose files are watched."""

    def start(more=WATCHED, **options):
        daemon = serve(1, more, **options)
        daemon.wait_for_log("Watching for changes: ")
        return daemon

    return start


class Browser:
    """Keeps its connection, and asks once more on a new one if it was closed under a request.

    Whoever closes an idle connection cannot know that a request is on its way (RFC 9110 9.2.2, RFC
    9112 9.3.1); every browser asks again then. A connection that is refused is not tried again.
    """

    def __init__(self, connection):
        self.connection = connection

    def get(self):
        try:
            return self.connection.ask()
        except (ConnectionResetError, BrokenPipeError):
            self.connection.close()
            return self.connection.ask()


def edit(directory, version):
    """What an editor does. No time stamp is helped along here: edits may follow within a second."""
    written = directory / "served.new"
    written.write_text(APPLICATION.replace('"one"', repr(version)))
    written.rename(directory / "served.py")


def test_a_browser_sees_each_of_ten_edits_and_is_never_refused(develop, tmp_path):
    daemon = develop()
    browser = Browser(daemon.connection())
    stream = daemon.dial()  # development servers hold some open; no reload waits for it
    stream.sendall(b"GET /stream?10000 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert stream.recv(100).startswith(b"HTTP/1.1 200 ")
    for number in range(10):
        edit(tmp_path, f"edit{number}")
        seen = []

        def answered(wanted=f"edit{number} ", seen=seen):
            seen.append(browser.get().text)
            return seen[-1].startswith(wanted)

        wait_until(answered, lambda: daemon.log)
    assert browser.get().text.startswith("edit9 ")
    assert daemon.log.count("Changes detected, reloading workers.. ") >= 10
    assert "served.py" in daemon.log


def test_a_file_that_is_written_all_the_time_keeps_nobody_from_new_code(develop, tmp_path):
    """A database in the directory of the application, say."""
    daemon = develop()
    edit(tmp_path, "two")

    def answered():
        with (tmp_path / "app.db").open("a") as written:
            written.write("x")
        return daemon.get().text.startswith("two ")

    wait_until(answered, lambda: daemon.log)
    assert "app.db" in daemon.log


def test_a_broken_edit_changes_nothing_and_a_mended_one_is_seen(develop, deploy, tmp_path):
    ignored = 'ignore_dirs = ["cache"]\nignore_patterns = ["\\\\.draft$"]\nignore_paths = ["var"]\n'
    for name in ("cache", "var"):
        (tmp_path / name).mkdir()
    daemon = develop(WATCHED + ignored)
    deploy("two", "raise RuntimeError('not yet')")
    daemon.wait_for_log("Reload failed, generation 1 serves on")
    assert "RuntimeError: not yet" in daemon.log
    assert daemon.get().text.startswith("one ")
    for name in ("cache/one", "var/two", "page.draft"):
        (tmp_path / name).write_text("x")
    deploy("three")
    wait_until(lambda: daemon.get().text.startswith("three "))
    changes = [line for line in daemon.log.splitlines() if "Changes detected" in line]
    assert len(changes) == 2
    assert not any(word in "".join(changes) for word in ("cache", "var", "draft"))


def test_nothing_of_it_without_the_option(serve, deploy):
    deploy("two", "\nasync def app(scope, receive, send): raise ValueError('secret')")
    daemon = serve(1)
    answer = fetch(("127.0.0.1", daemon.port), headers=PAGE)
    assert (answer.status, answer.text) == (500, "Internal Server Error")
    deploy("three")
    assert "changes" not in daemon.log
    assert len(daemon.workers()) == 1, "nobody watches"


FAILS_TO_START = """
async def lifespan(receive, send):
    await receive()
    await send({'type': 'lifespan.startup.failed', 'message': 'no <database>'})
"""


def test_a_failure_that_is_forgiven_is_shown(serve, deploy):
    deploy("one", "raise RuntimeError('<not yet>')")
    daemon = serve(1, WATCHED + "ignore_worker_failure = true")
    daemon.wait_for_log("Watching for changes: ")
    address = ("127.0.0.1", daemon.port)
    answer = fetch(address, headers=PAGE)
    assert answer.status == 500
    assert answer.fields["content-type"] == "text/html; charset=utf-8"
    assert "RuntimeError: &lt;not yet&gt;" in answer.text
    assert "<not yet>" in fetch(address).text
    assert "Showing clients why the application is missing: importing served" in daemon.log
    deploy("two", FAILS_TO_START)
    wait_until(lambda: "no &lt;database&gt;" in fetch(address, headers=PAGE).text)
    deploy("three")
    wait_until(lambda: daemon.get().text.startswith("three "))
    assert daemon.stop() == 0


def test_a_watcher_that_dies_is_replaced_and_nothing_is_missed(develop, deploy, tmp_path):
    daemon = develop()
    titles = {pid: title_of(pid) for pid in daemon.workers()}
    (watcher,) = [pid for pid, title in titles.items() if title.startswith("granian-d: watcher")]
    os.kill(watcher, signal.SIGSTOP)  # it sees nothing of this
    deploy("two")
    os.kill(watcher, signal.SIGKILL)
    daemon.wait_for_log("Files are not watched: it has ended")
    daemon.wait_for_log("Watching for changes: ", 2)
    wait_until(lambda: daemon.get().text.startswith("two "))
    other = tmp_path / "other"
    other.mkdir()
    config = daemon.config.read_text()
    daemon.config.write_text(config + 'paths = ["other"]\n')
    daemon.wait_for_log(f"Watching for changes: {other}")
    assert daemon.stop() == 0


def title_of(pid):
    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
        return file.read()


def test_variables_of_files_follow_the_files_and_are_told_to_nobody(
    develop, tmp_path, ctl, runtime
):
    file = tmp_path / "app.env"
    file.write_text("TOKEN=hunter2\nDERIVED=${TOKEN}x\nPATH=/nowhere\nGRANIAN_WORKERS=3\n")
    daemon = develop(f'env_files = ["app.env"]\n{WATCHED}', environ={"RUNTIME_DIRECTORY": runtime})

    def environ():
        return daemon.get("/environ").json["environ"]

    first = environ()
    assert (first["TOKEN"], first["DERIVED"]) == ("hunter2", "hunter2x")
    assert first["PATH"] == os.environ["PATH"], "what is there already is kept"
    assert first["GRANIAN_WORKERS"] == "3"
    assert "worker-2" not in daemon.log, "it is no option of ours"
    file.write_text("OTHER=hunter3\n")
    wait_until(lambda: environ().get("OTHER") == "hunter3")
    assert not {"TOKEN", "DERIVED"} & environ().keys()
    code, effective, _ = ctl("config", "-c", str(daemon.config))
    assert code == 0
    assert "app.env" in effective
    told = daemon.log + effective + ctl("status", "--json")[1]
    assert "hunter" not in told
    file.write_text("'\n")
    daemon.wait_for_log(f"env_files[0]: {file}:1 is not NAME=VALUE")
    assert environ()["OTHER"] == "hunter3"


def test_preloaded_workers_have_the_variables_too(serve, tmp_path):
    (tmp_path / "app.env").write_text("TOKEN=hunter2\n")
    daemon = serve(1, 'env_files = ["app.env"]\npreload = true')
    assert daemon.get("/environ").json["environ"]["TOKEN"] == "hunter2"
