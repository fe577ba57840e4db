"""Sockets of the loop on one side, Endpoints of the engine on the other. See README.md."""
