"""The smallest RSGI application."""


async def app(scope, protocol):
    protocol.response_str(200, [("content-type", "text/plain")], "Hello, world!")
