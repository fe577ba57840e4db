"""One serving process. See README.md; `main` is a worker's life on one screen."""
