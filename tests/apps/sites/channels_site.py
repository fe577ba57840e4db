"""The Django project with Channels: consumers beside views, behind one ProtocolTypeRouter."""

from __future__ import annotations

from channels.exceptions import DenyConnection
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
from django_site.asgi import application as django
from notebook import note


def token_of(consumer):
    return consumer.scope["query_string"].decode().removeprefix("token=")


class Talk(AsyncWebsocketConsumer):
    async def connect(self):
        offered = self.scope["subprotocols"]
        headers = [(b"x-site", b"django")]
        await self.accept("talk" if "talk" in offered else None, headers)

    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "close":
            await self.close(4001, "genug, \u00fcbrigens")
        elif text_data == "crash":
            raise RuntimeError(f"crash on purpose {token_of(self)}")
        else:
            await self.send(text_data=text_data, bytes_data=bytes_data)

    async def websocket_disconnect(self, message):
        note(f"talk ended {token_of(self)} {message['code']} {message['reason']}".rstrip())
        await super().websocket_disconnect(message)


class Flood(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        try:
            while True:
                await self.send(bytes_data=b"x" * 10_000)
        except OSError:
            note(f"flood ended {token_of(self)}")


class Denied(AsyncWebsocketConsumer):
    async def connect(self):
        raise DenyConnection


class Described(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.accept()
        scope = self.scope
        host = dict(scope["headers"])[b"host"].decode()
        client = scope["client"][0] if scope["client"] else None
        facts = {"scheme": scope["scheme"], "path": scope["path"], "host": host}
        await self.send_json({**facts, "client": client})


application = ProtocolTypeRouter(
    {
        "http": django,
        "websocket": URLRouter(
            [
                path("talk", Talk.as_asgi()),
                path("flood", Flood.as_asgi()),
                path("denied", Denied.as_asgi()),
                path("described", Described.as_asgi()),
            ]
        ),
    }
)
