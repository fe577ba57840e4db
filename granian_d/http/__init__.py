"""The waist: what a request and its response are, whatever wire and application. See README.md."""
