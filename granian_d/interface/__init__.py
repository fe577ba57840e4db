"""Exchanges to applications and back: ASGI, WSGI, RSGI. See README.md."""
