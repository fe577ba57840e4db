"""Time by hand."""

from __future__ import annotations

from granian_d.transport import deadlines


class Ticks:
    """What Deadlines asks of a loop, and nothing moves until the test says so."""

    def __init__(self):
        self.now = 100.0
        self.calls = []

    def time(self):
        return self.now

    def call_later(self, delay_s, callback):
        self.calls.append((self.now + delay_s, callback))
        return callback

    def call_exception_handler(self, context):
        raise context["exception"]

    def tick(self):
        """Go to the time of the one timer there is, and run it."""
        ((self.now, callback),) = self.calls
        self.calls.clear()
        callback()

    def pass_time(self, seconds):
        """Tick as long as somebody waits for it, but no longer than that."""
        for _ in range(int(seconds / deadlines.TICK_S)):
            if self.calls:
                self.tick()
