"""granian-d: a pre-fork daemon for Python web applications, made for systemd."""

__version__ = "0.1.0"
