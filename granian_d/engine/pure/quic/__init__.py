"""QUIC (RFC 9000, 9001, 9002, 9369), on aioquic: all connections of a worker's UDP sockets."""
