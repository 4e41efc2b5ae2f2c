"""Echo: with both directions live, each change is answered by one write, and then there is silence.

    python -m tests.examination.echo --changes 500

A sandbox gets as many changes on each side, on the same pairs: reps change phone numbers, clerks
block customers. Counted are the writes of the connector in the sandbox's own write logs, first
until nothing more arrives, then over two polls of both sides. Prints one JSON document; exit code 1
when a write too many or too few was made.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ml_connector.exchange.sync import run_sync
from tests.conftest import start_sandbox, stop_sandbox
from tests.integration.exchange.conftest import Connected, connection_to
from tests.integration.feeds.both_feeds import both_feeds

CYCLES = 2
LIFTED = {
    "business-central": {"rate_limit": 1_000_000_000},
    "salesforce": {"daily_api_requests": 1_000_000_000},
}
"""Limits on the number of requests; each is examined elsewhere."""


def examine(connected: Connected, changes: int) -> dict[str, Any]:
    """Make *changes* on each side and return what the connector wrote because of them."""
    run_sync(connected.settings)
    pairs = [row for row in connected.salesforce("Account") if row.get("BC_Customer_Id__c")]
    if len(pairs) < changes:
        raise SystemExit(f"there are {len(pairs)} pairs, too few for {changes} changes")
    with both_feeds(connected) as feeds:
        feeds.settle()
        feeds.cycle()
        before = written(connected)
        began = time.monotonic()
        for number, account in enumerate(pairs[:changes]):
            connected.act(
                "salesforce",
                "edit",
                sobject="Account",
                record=account["Id"],
                fields={"Phone": f"+49 30 {100_000 + number}"},
            )
            connected.act(
                "business-central",
                "block_customer",
                customer=account["BC_Customer_Number__c"],
                blocked="Ship",
            )
            if number % 20 == 19:
                feeds.hand_over_once()
        feeds.settle()
        seconds = time.monotonic() - began
        answered = written(connected) - before
        later = []
        for _ in range(CYCLES):
            at = written(connected)
            feeds.cycle()
            later.append((written(connected) - at).total())
    return {
        "changes": {"Account": changes, "customers": changes},
        "writes": dict(answered),
        "writes_per_change": answered.total() / (2 * changes),
        "writes_in_later_cycles": later,
        "agree": agree(connected, pairs[:changes]),
        "seconds": round(seconds, 1),
    }


def written(connected: Connected) -> Counter[str]:
    """Count the connector's writes per entity; what BC makes of them by itself is left out."""
    return Counter(
        str(each["entity"])
        for each in connected.writes()
        if (each["system"] == "salesforce" and each["client"] == "ml-connector")
        or (each["who"].startswith("app ") and each["entity"] != "contacts")
    )


def agree(connected: Connected, pairs: list[dict[str, Any]]) -> bool:
    """Tell whether every change of either side is on the other."""
    accounts = {row["Id"]: row for row in connected.salesforce("Account")}
    customers = {row["id"]: row for row in connected.business_central("customers")}
    return all(
        customers[pair["BC_Customer_Id__c"]]["phoneNumber"] == accounts[pair["Id"]]["Phone"]
        and accounts[pair["Id"]]["BC_Blocked__c"] == "Ship"
        for pair in pairs
    )


def is_good(result: dict[str, Any]) -> bool:
    """Tell whether each change was answered once and nothing came after."""
    return bool(
        result["writes_per_change"] == 1
        and not any(result["writes_in_later_cycles"])
        and result["agree"]
    )


def main() -> int:
    """Examine a sandbox of the size that the number of changes needs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--changes", type=int, default=500, help="changes on each side")
    changes = parser.parse_args().changes
    logging.getLogger("ml_connector").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        sandbox = start_sandbox(
            Path(folder) / "sandbox", "--customers", str(changes * 3 // 2), "--orders", "20"
        )
        try:
            for system, positions in LIFTED.items():
                sandbox.admin.post(f"/{system}/switches", json=positions).raise_for_status()
            result = examine(connection_to(sandbox, Path(folder)), changes)
        finally:
            stop_sandbox(sandbox)
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0 if is_good(result) else 1


if __name__ == "__main__":
    sys.exit(main())
