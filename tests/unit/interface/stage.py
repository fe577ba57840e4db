"""Calls without an interface: what an application tells of its task when nothing else is there.

Calls begin as they do below an engine: in a callback of the loop, where no task runs. The task that
carries one is told from others by its name.
"""

import asyncio

from granian_d.interface.calls import Call, Calls


class Probe(Call):
    """A call of `app`.

    Attributes:
        ends: how it ended, each time that was told.
        at_once: it was over when `start` returned.
    """

    def __init__(self, app):
        self.task = None
        self.app = app
        self.ends = []
        self.at_once = False
        self.over = asyncio.Event()

    def begin(self):
        return self.app()

    def returned(self):
        self._end("returned")

    def raised(self, error):
        self._end(error)

    def _end(self, how):
        self.ends.append(how)
        self.app = None
        self.over.set()


class Stage:
    """The calls of an application whose loop runs."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.calls = Calls(self.loop)

    def start(self, app):
        probe = Probe(app)
        self.calls.start(probe)
        probe.at_once = bool(probe.ends)
        return probe

    async def begin(self, app):
        """Start a call from a callback."""
        begun = self.loop.create_future()
        self.loop.call_soon(lambda: begun.set_result(self.start(app)))
        return await begun

    async def see(self, app):
        """How a call ends."""
        probe = await self.begin(app)
        await probe.over.wait()
        (end,) = probe.ends
        return end

    async def ok(self, app):
        """Have a call return."""
        end = await self.see(app)
        if end != "returned":
            raise end

    async def bearer(self):
        """The name of the task that carries a call which leaves no trace."""
        names = []

        async def app():
            names.append(bearer())

        probe = await self.begin(app)
        await probe.over.wait()
        return names[0]


def bearer():
    return asyncio.current_task().get_name().partition(".")[0]


def perform(runner, script, *, debug=False):
    """Run a script on a stage whose carrier waits at its gate."""

    async def main():
        stage = Stage()
        stage.calls.prepare()
        await asyncio.sleep(0)
        try:
            await script(stage)
        finally:
            await stage.calls.cancel()

    runner.get_loop().set_debug(debug)
    runner.run(main())
