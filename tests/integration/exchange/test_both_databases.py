"""The main job with its ledger on either database: the same outcome."""

from typing import Any

from pydantic import SecretStr


def test_the_first_sync_and_lost_answers_on_either_database(
    connected: Any, ledger_url: str
) -> None:
    """Every reference once, also when answers are lost, wherever the ledger lies."""
    connected.settings = connected.settings.model_copy(update={"ledger_url": SecretStr(ledger_url)})
    connected.fault("business-central", method="POST", path="salesOrders", drop="after", times=2)

    connected.sync_through_faults()
    report = connected.sync()

    references = [
        row["externalDocumentNumber"] for row in connected.business_central("salesOrders")
    ]
    assert len(references) == len(set(references)) > 30
    assert report.by_kind["order"]["parked"] == 0
