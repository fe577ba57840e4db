"""Pages that show tracebacks: what they say, to whom, and what they never say."""

from __future__ import annotations

import pytest

from granian_d.worker.development import FaultPages

SECRET = "2retnuh"[::-1]


def fail(what):
    password = SECRET  # a local variable, whose value stands nowhere in the source
    try:
        raise LookupError(f"no {what} <here>") from None
    except LookupError as error:
        raise ValueError(f"<b>{len(password)}</b>") from error


async def asgi(scope, receive, send):
    if scope["path"] == "/held":
        await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/begun":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    fail("tea")


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/begun":
        start_response("200 OK", [])(b"begun")
    if environ["PATH_INFO"] == "/held":
        start_response("200 OK", [])
    fail("tea")


async def rsgi(scope, protocol):
    if scope.path == "/begun":
        stream = protocol.response_stream(200, [])
        await stream.send_bytes(b"begun")
    fail("tea")


INTERFACES = {"asginl": asgi, "wsgi": wsgi, "rsgi": rsgi}


async def asked(room, path, *fields):
    """Head and body of an answer."""
    client = await room.ask(path, "Connection: close", *fields)
    head, _, body = (await client.reader.read()).partition(b"\r\n\r\n")
    return head.decode().lower(), body.decode()


@pytest.mark.parametrize("interface", INTERFACES)
def test_an_exception_before_the_head_is_out_is_shown(run, interface):
    async def story(room):
        room.dispatch.observer = FaultPages(room.dispatch)
        room.acceptor.arm()
        for path in ("/", "/held"):  # the head that was given has not gone out
            head, text = await asked(room, f"{path}?token=1")
            assert head.startswith("http/1.1 500 ")
            assert "\r\ncontent-type: text/plain; charset=utf-8" in head
            assert "\r\ncache-control: no-store" in head
            assert text.startswith(f"GET {path}\nValueError: <b>7</b>\n\nTraceback")
            assert "LookupError: no tea <here>" in text
            assert 'raise LookupError(f"no {what} <here>")' in text
            assert "granian_d/" not in text, "the way to the application is of no use"
            assert SECRET not in text
            assert "token" not in text
        head, html = await asked(room, "/", "Accept: text/html,*/*;q=0.8")
        assert "\r\ncontent-type: text/html; charset=utf-8" in head
        assert "<h1>ValueError: &lt;b&gt;7&lt;/b&gt;</h1>" in html
        assert "<h2>Because of LookupError: no tea &lt;here&gt;</h2>" in html
        assert "<b>" not in html
        assert "<here>" not in html
        first = html.index(f"{__file__}, line")
        assert html.index("in fail") - first < 200, "the innermost call comes first"
        assert SECRET not in html
        assert [line["event"] for line in room.logged] == ["application_crashed"] * 3

    run(story, INTERFACES[interface], interface=interface)


@pytest.mark.parametrize("interface", INTERFACES)
def test_nothing_is_shown_where_nobody_develops_nor_behind_a_head(run, interface):
    async def story(room):
        room.acceptor.arm()
        head, text = await asked(room, "/", "Accept: text/html")
        assert head.startswith("http/1.1 500 ")
        assert text == ("" if interface == "rsgi" else "Internal Server Error")
        room.dispatch.observer = FaultPages(room.dispatch)
        client = await room.ask("/begun")
        rest = await client.rest() or b""
        assert b"Error" not in rest
        assert b"Traceback" not in rest

    run(story, INTERFACES[interface], interface=interface)


def test_a_websocket_that_was_not_accepted_is_answered_so_too(run):
    async def story(room):
        room.dispatch.observer = FaultPages(room.dispatch)
        room.acceptor.arm()
        fields = ("Upgrade: websocket", "Sec-WebSocket-Version: 13")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        client = await room.ask("/", "Connection: Upgrade", *fields, key)
        head = await client.head()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        assert "ValueError" in (await client.reader.readexactly(length)).decode()

    run(story, asgi)
