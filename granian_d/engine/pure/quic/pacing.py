"""When packets may leave, so that a window does not leave as one burst (RFC 9002 7.7)."""

from __future__ import annotations

from typing import Any, Final

from aioquic.quic.recovery import QuicPacketPacer

# Of a loop's timer: who waits for less wakes for every packet, and for nothing else. What a path
# carries in that time may leave together.
TICK_S: Final = 0.001
GAIN: Final = 1.25  # of the rate that the window stands for: it has to be used in full (7.7)


class Pacer(QuicPacketPacer):
    """The library's bucket, emptied by the burst.

    Once it is empty it is waited for until it is full, or for a tick: packets that leave together
    cost one call of the kernel, and their ACKs come together.
    """

    def next_send_time(self, now: float) -> Any:  # the library says float and means None, too
        """When the next packet may leave, CLOCK_MONOTONIC; None for at once."""
        packet_s = self.packet_time
        if packet_s is None:
            return None
        self.update_bucket(now=now)
        if self.bucket_time > 0:
            return None
        return now + max(packet_s, min(self.bucket_max, TICK_S)) - self.bucket_time

    def update_after_send(self, now: float) -> None:
        """A packet has left. What the bucket did not hold for it is owed, not forgiven."""
        if self.packet_time is not None:
            self.update_bucket(now=now)
            self.bucket_time -= self.packet_time

    def update_rate(self, congestion_window: int, smoothed_rtt: float) -> None:
        """Follow what is known of the path.

        Args:
            congestion_window: in bytes.
            smoothed_rtt: in seconds.
        """
        super().update_rate(congestion_window, smoothed_rtt / GAIN)
        self.bucket_max = max(self.bucket_max, TICK_S)
