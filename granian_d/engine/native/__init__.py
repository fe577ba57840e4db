"""The engine in C, where the package was compiled. See README.md."""
