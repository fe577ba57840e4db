"""ASGI 3, for HTTP, WebSocket and lifespan. See README.md."""

from granian_d.interface.asgi.application import make, make_without_lifespan

__all__ = ["make", "make_without_lifespan"]
