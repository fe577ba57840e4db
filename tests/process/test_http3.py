"""HTTP/3 of a real daemon, asked by a client whose QUIC and framing are not ours."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from tests.process.daemon import wait_until
from tests.process.h3_client import Lost
from tests.process.h3_site import Site
from tests.process.tls_client import fetch

MIB = 1 << 20
BODY = hashlib.shake_128(b"body").digest(10 * MIB)  # nothing that repeats
SETUPS = {"uvloop, 1 worker": (1, "uvloop"), "asyncio, 4 workers": (4, "asyncio")}


@pytest.fixture(scope="module", params=SETUPS)
def site(request, tmp_path_factory):
    workers, loop = SETUPS[request.param]
    more = f'loop = "{loop}"\naccess_log.enabled = true\nhttp2.max_headers_size = 65536\n'
    more += f"request.max_body_size = {32 * MIB}"
    directory = tmp_path_factory.mktemp("site")
    tables = "[metrics]\nenabled = true\nport = 0\n"
    with Site(directory, workers, more, tables) as site:
        yield site


def on(site, scenario, **how):
    """Run a scenario on a connection of its own."""

    async def run():
        async with site.dial3(**how) as client:
            return await scenario(client)

    return asyncio.run(run())


# --- requests ---------------------------------------------------------------------------------------


def test_what_the_application_sees(site):
    async def scenario(client):
        return client.local_port, await client.ask("/facts?x=1")

    port, answer = on(site, scenario)
    assert answer.status == 200
    assert json.loads(answer.text) == {
        "http_version": "3",
        "scheme": "https",
        "method": "GET",
        "path": "/facts",
        "server": ["127.0.0.1", site.port],
        "client": ["127.0.0.1", port],
        "host": f"localhost:{site.port}",
        "tls": 0x0304,
    }
    assert "date" in answer.fields
    assert "server" in answer.fields
    assert "alt-svc" not in answer.fields, "it is here already"


def test_a_head_without_a_body(site):
    answer = on(site, lambda client: client.ask("/large?5000", "HEAD"))
    assert (answer.status, answer.fields["content-length"], answer.body) == (200, "5000", b"")


def test_an_upload_of_10_mib_arrives_as_it_was_sent(site):
    answer = on(site, lambda client: client.ask("/upload", "POST", BODY))
    assert answer.text == f"{len(BODY)} {hashlib.sha256(BODY).hexdigest()}"


def test_an_upload_in_pieces_with_trailers(site):
    async def scenario(client):
        stream = client.begin("/upload", "POST", last=False)
        for at in range(0, MIB, 100_000):
            stream.send(BODY[at : min(MIB, at + 100_000)])
            await client.ping()
        stream.send_trailers([(b"x-checked", b"yes")])
        return await stream.whole()

    assert on(site, scenario).text == f"{MIB} {hashlib.sha256(BODY[:MIB]).hexdigest()}"


def test_a_large_answer(site):
    answer = on(site, lambda client: client.ask(f"/large?{4 * MIB}"))
    assert answer.body == b"x" * 4 * MIB


def test_100_streams_at_once(site):
    """All are under way before the first is answered; half of them carry bodies."""

    async def scenario(client):
        waits = client.begin("/wait")
        asked = [client.ask("/parts?50") for _ in range(49)]
        asked += [client.ask("/upload", "POST", BODY[:20_000]) for _ in range(50)]
        answers = await asyncio.gather(*asked)
        await client.ask("/go")
        return [*answers, await waits.whole()]

    answers = on(site, scenario)
    assert [answer.status for answer in answers] == [200] * 100
    assert {answer.text for answer in answers[:49]} == {"".join(f"{n}\n" for n in range(50))}
    assert {answer.text.split()[0] for answer in answers[49:99]} == {"20000"}


def test_an_answer_comes_as_it_is_made(site):
    """The first part is here while the application still waits for another request."""

    async def scenario(client):
        stream = client.begin("/long?0.2")
        first = await stream.part()
        rest = await stream.whole()
        return first + rest.body

    assert on(site, scenario).split() == [b"%d" % number for number in range(20)]


def test_trailers_of_an_answer(site):
    answer = on(site, lambda client: client.ask("/trailers", fields=[(b"te", b"trailers")]))
    assert answer.body == b"whole"
    assert answer.trailers == {"x-digest": hashlib.sha256(b"whole").hexdigest()}


def test_early_hints(site):
    answer = on(site, lambda client: client.ask("/hints"))
    assert answer.informed == [(103, [(b"link", b"</style.css>; rel=preload")])]
    assert answer.status == 200


def test_who_wants_no_answer_any_more_harms_nobody(site):
    async def scenario(client):
        for number in range(20):
            stream = client.begin("/large?1000000")
            if number % 2:
                await stream.head()
            stream.cancel()
        return await client.ask("/")

    assert on(site, scenario).status == 200


# --- WebSockets -------------------------------------------------------------------------------------


def test_a_conversation(site):
    async def scenario(client):
        talk = await client.talk("/talk", ("chat",))
        talk.send("facts")
        facts = await talk.receive()
        said = ["grüße", BODY[:70_000], "y" * 100_000]
        for one in said:
            talk.send(one)
        heard = [await talk.receive() for _ in said]
        answer = await client.ask("/")  # beside it
        talk.send("close")
        return talk.subprotocol, facts, heard == said, answer.status, await talk.receive()

    subprotocol, facts, same, status, code = on(site, scenario)
    assert (subprotocol, same, status, code) == ("chat", True, 200, 3001)
    assert facts.split()[0] == "3"


def test_who_closes_tells_the_application_why(site):
    async def scenario(client):
        talk = await client.talk("/talk")
        talk.close(3456)
        return await talk.receive()

    assert on(site, scenario) == 3456
    ends = Path(site.directory, "ends")
    wait_until(lambda: ends.exists() and "3456\n" in ends.read_text())


def test_a_conversation_that_is_refused(site):
    with pytest.raises(Lost) as lost:
        on(site, lambda client: client.talk("/refused"))
    assert lost.value.code == 403


# --- connections ------------------------------------------------------------------------------------


@pytest.mark.parametrize("renamed", [True, False], ids=["on purpose", "behind a NAT"])
def test_a_client_that_moves_keeps_its_connection(site, renamed):
    """In the middle of an upload and of an answer, and several times: the same worker goes on."""

    async def scenario(client):
        first = (await client.ask("/")).text
        talk = await client.talk("/talk")
        large = client.begin(f"/large?{4 * MIB}")
        upload = client.begin("/upload", "POST", last=False)
        assert await large.head() == 200
        ports = {client.local_port}
        for _ in range(3):
            upload.send(BODY[:MIB])
            await client.move(renamed=renamed)
            ports.add(client.local_port)
            talk.send("still here")
            assert await talk.receive() == "still here"
            assert (await client.ask("/")).text == first
            # The server's path validation and the connection ids that follow it.
            await client.ping()
            await client.ping()
        upload.send(b"", last=True)
        assert (await upload.whole()).text.split()[0] == str(3 * MIB)
        assert len((await large.whole()).body) == 4 * MIB
        facts = json.loads((await client.ask("/facts")).text)
        assert facts["client"] == ["127.0.0.1", client.local_port]
        return ports

    assert len(on(site, scenario)) == 4


def test_resumption(site):
    """Of a ticket that any worker may have given."""
    tickets: list = []
    on(site, lambda client: client.ask("/"), tickets=tickets)

    async def again(client):
        return client.handshake.session_resumed, (await client.ask("/")).status

    for _ in range(4):
        assert tickets
        assert on(site, again, session_ticket=tickets[0]) == (True, 200)


def test_early_data_is_not_taken_unless_it_is_asked_for(site):
    """A client that sends it sends it again behind the handshake."""
    tickets: list = []
    on(site, lambda client: client.ask("/"), tickets=tickets)

    async def early(client):
        answer = await client.ask("/upload", "POST", b"x" * 1000)
        return answer.text.split()[0], client.handshake.early_data_accepted

    assert on(site, early, early=True, session_ticket=tickets[0]) == ("1000", False)


def test_key_update(site):
    async def scenario(client):
        for _ in range(2):
            client.request_key_update()
            assert (await client.ask(f"/large?{MIB // 8}")).status == 200
        return await client.ask("/")

    assert on(site, scenario).status == 200


# --- what others see of it --------------------------------------------------------------------------


def test_others_are_told_by_alt_svc(site):
    address = ("127.0.0.1", site.port)
    assert fetch(address, site.trust).fields["alt-svc"] == f'h3=":{site.port}"; ma=86400'


def test_the_access_log_has_them(site):
    on(site, lambda client: client.ask("/logged?a=b"))
    log = Path(site.directory, "stdout.log")
    wait_until(lambda: '127.0.0.1 - "GET /logged HTTP/3" 200 ' in log.read_text(), log.read_text)


def test_metrics_count_them(site):
    from tests.process.test_metrics import scrape

    before = scrape(site)

    async def scenario(client):
        await client.ask("/upload", "POST", BODY[:MIB])
        await client.ask("/")
        return scrape(site).sum("connections_active")

    assert on(site, scenario) >= 1
    after = scrape(site)

    def more(name):
        return after.sum(name) - before.sum(name)

    assert more("requests_handled") == 2
    assert more("connections_handled") >= 1
    assert more("received_bytes_total") >= MIB


# --- limits -----------------------------------------------------------------------------------------


def test_too_many_fields(site):
    async def scenario(client):
        fields = [(b"x-%d" % number, b"y" * 4000) for number in range(80)]
        refused = await client.ask("/", fields=fields)
        return refused.status, (await client.ask("/")).status

    assert on(site, scenario) == (431, 200)


def test_too_long_a_body(site):
    async def scenario(client):
        declared = await client.ask(
            "/upload", "POST", b"", [(b"content-length", b"%d" % (33 * MIB))]
        )
        return declared.status, (await client.ask("/")).status

    assert on(site, scenario) == (413, 200)


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_a_slow_reader_costs_no_memory(site):
    """An answer of 200 MiB whose reader stops: the application waits, and nothing piles up."""

    async def scenario(client):
        pid = int((await client.ask("/")).text.split()[1])
        client.quic.holding = True
        before = resident_kib(pid)
        stream = client.begin(f"/large?{200 * MIB}")
        got = 0
        while got < MIB // 2:
            got += len(await stream.part())
        for _ in range(10):
            await client.ping()
        grown = resident_kib(pid) - before
        stream.cancel()
        client.quic.holding = False
        return grown, (await client.ask("/")).status

    grown_kib, status = on(site, scenario)
    assert status == 200
    assert grown_kib < 8 << 10


def test_an_upload_that_nobody_reads_costs_no_memory(site):
    """20 MiB for an application that waits: there is no room beyond the windows.

    When the request is given up, its part of the connection's window is given back.
    """

    async def scenario(client):
        pid = int((await client.ask("/")).text.split()[1])
        before = resident_kib(pid)
        stream = client.begin("/wait", "POST", last=False)
        stream.send(bytes(20 * MIB), last=True)
        for _ in range(10):
            await client.ping()
        grown = resident_kib(pid) - before
        stream.cancel()
        return grown, (await client.ask("/upload", "POST", BODY[: 2 * MIB])).status

    grown_kib, status = on(site, scenario)
    assert status == 200
    assert grown_kib < 8 << 10
