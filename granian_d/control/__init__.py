"""Wires between our own processes. See README.md."""
