"""Falcon's site as ASGI."""

from falcon_site import asgi

app = asgi()
