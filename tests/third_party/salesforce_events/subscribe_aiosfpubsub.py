"""Subscribes with aiosfpubsub and prints each decoded change as one JSON line.

The client signs in over SOAP, which the sandbox does not offer, so the session is given to it; it
trusts what certifi names, so certifi is told of the sandbox's authority first.
"""

import asyncio
import json
import os
from typing import Any

import certifi

settings = json.loads(os.environ["SANDBOX"])
certifi.where = lambda: settings["ca_file"]

from aiosfpubsub.client import Client  # noqa: E402 - after certifi has been told

host, _, port = settings["pubsub_endpoint"].partition(":")
client = Client(settings["url"], "", "", host, int(port))
client.metadata = (
    ("accesstoken", settings["access_token"]),
    ("instanceurl", settings["url"]),
    ("tenantid", settings["organization_id"]),
)
topic = settings["topics"][0]
seen = 0


class Enough(Exception):
    """As many events came as were asked for."""


def show(value: object) -> None:
    """Print one JSON line."""
    print(json.dumps(value), flush=True)  # noqa: T201 - this is what the program is for


def take(response: Any, client: Client) -> None:
    """Print the events of one response."""
    global seen  # noqa: PLW0603 - a script of one stream
    for consumer in response.events:
        schema = client.get_schema_json(consumer.event.schema_id)
        payload = client.decode(schema, consumer.event.payload)
        show({"topic": topic, "replayId": consumer.replay_id.hex(), "payload": payload})
        seen += 1
    if seen >= settings["count"]:
        raise Enough


async def main() -> None:
    """Subscribe until enough has come."""
    show({"ready": client.get_topic(topic).can_subscribe})
    preset = "EARLIEST" if settings.get("earliest") else "LATEST"
    try:
        await client.subscribe(topic, preset, b"", 50, take)
    except Enough:
        return


asyncio.run(main())
