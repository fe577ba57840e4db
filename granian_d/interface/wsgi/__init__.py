"""WSGI (PEP 3333), on threads of its own. See README.md."""

from granian_d.interface.wsgi.application import make

__all__ = ["make"]
