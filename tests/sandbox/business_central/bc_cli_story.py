"""What a user of the package bc-cli does; run as a program of its own, its result is one line.

The package has the vendor's host names built in. The environment leads them to the sandbox:
HTTPS_PROXY to its CONNECT proxy, SSL_CERT_FILE and REQUESTS_CA_BUNDLE to its authority.
"""

import asyncio
import json
import os
import sys
from typing import Any

from bcli.client import AsyncBCClient
from bcli.errors import BCLIError


async def story() -> dict[str, Any]:
    """Sign in, list, page, create, change, post an order, and read what came of it."""
    settings = json.loads(os.environ["SANDBOX_LINE"])["business_central"]
    said: dict[str, Any] = {}
    async with AsyncBCClient(
        tenant_id=settings["tenant_id"],
        client_id=settings["client_id"],
        client_secret=settings["client_secret"],
        environment=settings["environment"],
        company_id=settings["company_id"],
    ) as client:
        said["companies"] = [company["name"] for company in await client.list_companies()]
        said["connected"] = await client.test_connection()
        items = await client.query("items").select("id", "number").top(2).get()
        customer = await client.post("customers", {"displayName": "bc-cli & söhne"})
        changed = await client.patch("customers", customer["id"], {"city": "Graz"})
        said["city"] = changed["city"]
        found = await client.query("customers").filter("displayName eq 'bc-cli & söhne'").get()
        said["found"] = [row["number"] for row in found] == [customer["number"]]
        lines = [{"itemId": item["id"], "quantity": 1} for item in items]
        order = await client.post(
            "salesOrders", {"customerId": customer["id"], "salesOrderLines": lines}
        )
        action = f"salesOrders({order['id']})/Microsoft.NAV.shipAndInvoice"
        await client.post(action, {})
        invoices = (
            await client.query("salesInvoices")
            .filter(f"orderNumber eq '{order['number']}'")
            .expand("salesInvoiceLines")
            .get()
        )
        said["invoice"] = invoices[0]["status"]
        said["lines"] = len(invoices[0]["salesInvoiceLines"])
        try:
            await client.post("customers", {"displayName": "x" * 101})
        except BCLIError as refusal:
            said["refused"] = type(refusal).__name__
        spare = await client.post("customers", {"displayName": "Spare"})
        await client.delete("customers", spare["id"])
        said["spare"] = len(await client.query("customers").filter("displayName eq 'Spare'").get())
    return said


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(story())))
