"""Bytes to Exchanges and back. See README.md."""
