"""The engine in Python, on h11. See README.md."""
