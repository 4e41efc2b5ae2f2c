"""The flow that keeps the subscriptions: one that gets no answer does not let the others lapse."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.subscription_renewal import renew_subscriptions
from ml_connector.cli.connect import connect_file
from ml_connector.errors import TransientError
from ml_connector.exchange.notified import NOTIFIED_SETS
from tasks.retry_policy import RETRIES

if TYPE_CHECKING:
    from tests.conftest import RunningSandbox

pytestmark = pytest.mark.slow


def test_the_run_fails_only_after_every_subscription_was_tried(
    connection: str, connection_file: Path, running_sandbox: RunningSandbox
) -> None:
    """No receiver is there: BC does not answer one create, and refuses every other."""
    text = connection_file.read_text(encoding="utf-8")
    section = "[business_central]\n"
    assert section in text
    at = f'{section}notification_url = "https://127.0.0.1:9/bc"\n'
    connection_file.write_text(text.replace(section, at), encoding="utf-8")
    asyncio.run(connect_file(connection_file))
    rule = {"method": "POST", "path": "subscriptions", "status": 500, "times": RETRIES + 1}
    running_sandbox.admin.post("/business-central/faults", json=rule).raise_for_status()

    with pytest.raises(TransientError):
        asyncio.run(renew_subscriptions(connection))

    statuses = running_sandbox.admin.get("/business-central/traffic").json()["statuses"]
    asked = statuses["POST subscriptions"]
    assert asked.pop("500") == RETRIES + 1
    assert sum(asked.values()) == len(NOTIFIED_SETS) - 2  # shipments are polled
