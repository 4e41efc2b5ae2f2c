"""Decodes a number of events with aiosfpubsub and prints how long that took; nothing is stored.

See subscribe_aiosfpubsub.py for how the client is given its session and authority.
"""

import asyncio
import json
import os
import time
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
seen = 0
begun = time.perf_counter()


class Enough(Exception):
    """As many events came as were asked for."""


schemas: dict[str, Any] = {}


def take(response: Any, client: Client) -> None:
    """Decode the events of one response; schemas are kept, as its users have to."""
    global seen  # noqa: PLW0603 - a script of one stream
    for consumer in response.events:
        schema_id = consumer.event.schema_id
        if schema_id not in schemas:
            schemas[schema_id] = client.get_schema_json(schema_id)
        client.decode(schemas[schema_id], consumer.event.payload)
        seen += 1
    if seen >= settings["count"]:
        raise Enough


async def main() -> None:
    """Subscribe until enough has come."""
    try:
        await client.subscribe(
            settings["topic"], "CUSTOM", bytes.fromhex(settings["replay_id"]), 100, take
        )
    except Enough:
        print(json.dumps({"events": seen, "seconds": time.perf_counter() - begun}))  # noqa: T201


asyncio.run(main())
