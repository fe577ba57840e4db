"""The contract of behaviours in Django: one project, served as ASGI and as WSGI."""
