"""HTTP/3 on the streams of a QUIC connection (RFC 9114). See README.md."""
