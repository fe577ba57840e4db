"""RSGI 1.6, for HTTP. See README.md."""

from granian_d.interface.rsgi.application import make

__all__ = ["make"]
