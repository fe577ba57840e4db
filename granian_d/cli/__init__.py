"""The front doors and the composition root. See README.md."""
