"""Hooks, precedence, public names, and `granian.rsgi` without Granian."""

import asyncio
import subprocess
import sys
import textwrap

import pytest

from granian_d import rsgi
from granian_d.errors import DaemonError, LoadError, StartupError
from granian_d.interface.registry import load
from granian_d.interface.rsgi import surface

from .memory import TCP, MemoryExchange, context


class App:
    """Everything an RSGI application may have."""

    def __init__(self):
        self.calls = []

    def __rsgi_init__(self, loop):
        assert not loop.is_running()
        self.calls.append(("init", loop.run_until_complete(self.work())))

    async def work(self):
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    async def __rsgi__(self, scope, protocol):
        self.calls.append(("rsgi", scope.path))
        protocol.response_empty()

    async def __call__(self, scope, protocol):
        raise AssertionError("__rsgi__ goes first")

    def __rsgi_del__(self, loop):
        assert not loop.is_running()
        self.calls.append(("del", loop.run_until_complete(self.work())))


def live(app, loop):
    """A worker's order of things."""
    interface = load("rsgi")(app, context(loop))

    async def main():
        await interface.startup()
        interface.serve(MemoryExchange())
        await interface.settle()
        await interface.shutdown()

    loop.run_until_complete(main())
    interface.close()
    return interface.notes


def test_the_hooks_have_the_loop_to_themselves(loop) -> None:
    app = App()
    assert live(app, loop) == []
    assert app.calls == [("init", id(loop)), ("rsgi", "/"), ("del", id(loop))]


def test_without_hooks(loop) -> None:
    async def app(scope, protocol):
        protocol.response_empty()

    assert live(app, loop) == []


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("no")])
def test_a_failing_init_is_a_refusal(loop, error) -> None:
    class Failing(App):
        def __rsgi_init__(self, loop):
            raise error

    with pytest.raises(StartupError, match=r"__rsgi_init__ failed: .*no") as caught:
        load("rsgi")(Failing(), context(loop))
    assert caught.value.__cause__ is error


def test_a_failing_del_is_noted(loop) -> None:
    class Failing(App):
        def __rsgi_del__(self, loop):
            raise ValueError("no")

    (note,) = live(Failing(), loop)
    assert "__rsgi_del__ failed: ValueError('no')" in note


def test_what_cannot_be_called_is_no_application(loop) -> None:
    with pytest.raises(LoadError, match=r"scope, protocol.*Peer"):
        load("rsgi")(TCP, context(loop))


class TestSurface:
    def test_names(self) -> None:
        assert rsgi.__all__ == surface.__all__
        for name in rsgi.__all__:
            assert getattr(rsgi, name) is getattr(surface, name)

    def test_errors(self) -> None:
        for error, words in (
            (rsgi.ProtocolError, "RSGI protocol error"),
            (rsgi.ProtocolClosed, "RSGI transport is closed"),
        ):
            assert issubclass(error, RuntimeError)
            assert issubclass(error, DaemonError)
            assert str(error()) == words

    def test_message_types(self) -> None:
        assert [(kind.name, kind.value) for kind in rsgi.WebsocketMessageType] == [
            ("close", 0),
            ("bytes", 1),
            ("string", 2),
        ]
        assert rsgi.WebsocketMessageType.bytes == 1

    def test_messages(self) -> None:
        message = rsgi.WebsocketMessage(rsgi.WebsocketMessageType.string, "x")
        assert (message.kind, message.data) == (2, "x")
        closing = rsgi.WebsocketMessage(rsgi.WebsocketMessageType.close)
        assert not hasattr(closing, "data")


def python(code: str, *paths: object) -> str:
    """What a fresh interpreter prints, without any Granian but that on `paths`."""
    hide = f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}\n"
    command = [sys.executable, "-c", hide + textwrap.dedent(code)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class TestAlias:
    def test_without_granian(self) -> None:
        out = python("""
            from granian_d.interface import alias
            alias.install()
            alias.install()
            from granian.rsgi import HTTPProtocol, Scope, WebsocketMessageType, WebsocketProtocol
            from granian.rsgi import Headers, ProtocolClosed, ProtocolError, WebsocketMessage
            import granian, granian.rsgi
            import granian_d.rsgi
            assert HTTPProtocol is granian_d.rsgi.HTTPProtocol
            assert granian.rsgi.__all__ == granian_d.rsgi.__all__
            assert granian.rsgi.__name__ == "granian.rsgi"
            assert granian_d.rsgi.__spec__.name == "granian_d.rsgi"
            try:
                import granian.server
            except ModuleNotFoundError as error:
                print(error)
            print(len([f for f in sys.meta_path if type(f) is alias._Alias]))
        """)
        assert out == "No module named 'granian.server'\n1"

    def test_with_granian(self, tmp_path) -> None:
        (tmp_path / "granian").mkdir()
        (tmp_path / "granian" / "__init__.py").touch()
        (tmp_path / "granian" / "rsgi.py").write_text("HTTPProtocol = 'the real one'")
        code = """
            from granian_d.interface import alias
            alias.install()
            from granian.rsgi import HTTPProtocol
            print(HTTPProtocol)
        """
        assert python(code, tmp_path) == "the real one"

    def test_it_costs_nothing_until_it_is_used(self) -> None:
        out = python("""
            import granian_d.interface.alias as alias
            alias.install()
            print([name for name in ("tempfile", "importlib.abc") if name in sys.modules])
            print("granian_d.interface.rsgi.websocket" in sys.modules)
        """)
        assert out == "[]\nFalse"
