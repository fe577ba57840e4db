"""The front door of programs: `Granian` of granian_d. See README.md."""

from granian_d.server.program import Server

MPServer = Server  # one process for each worker; there is no server of threads

__all__ = ["MPServer", "Server"]
