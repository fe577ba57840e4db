"""A client that puts a WebSocket server through the cases of the Autobahn test suite."""
