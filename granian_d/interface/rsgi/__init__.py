"""RSGI 1.6, for HTTP and WebSocket. See README.md."""

from granian_d.interface.rsgi.application import make

__all__ = ["make"]
