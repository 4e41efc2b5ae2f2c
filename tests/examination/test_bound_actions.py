"""Bound actions, killed or with lost answers: every order is invoiced exactly once."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ml_connector.configuration.settings import ConnectionSettings
from tests.examination.checker import Ledger
from tests.examination.examination import AFTER_SETTLING, START, settings_for
from tests.examination.points import Event
from tests.examination.workers import Ahead, Job, run_alone
from tests.examination.world import World

ACTION = r"Microsoft\.NAV\."
LOST: list[dict[str, Any]] = [
    {"drop": "after"},
    {"drop": "before"},
    {"truncate": 5},
    {"status": 504, "after_commit": True},
    {"status": 502, "after_commit": False},
    {"status": 500, "code": "Internal_ServerError", "after_commit": True},
]


@pytest.fixture
def settings(examined_world: tuple[World, str], tmp_path: Path) -> ConnectionSettings:
    """A connection whose ledger is empty; the sandbox is in its first state."""
    world, connection_file = examined_world
    world.restore(START)
    return settings_for(connection_file, f"sqlite:///{tmp_path / 'ledger.db'}")


def shipping(settings: ConnectionSettings) -> ConnectionSettings:
    """Return the connection under the policy that ships and invoices every order."""
    policy = settings.policy.model_dump(mode="json")
    policy["invoices"]["posting"] = "ship_and_invoice"
    renewed = type(settings.policy).model_validate(policy)
    return settings.model_copy(update={"policy": renewed})


def runs(world: World, settings: ConnectionSettings, folder: Path, times: int) -> None:
    """Run *times* without trouble, each after lost answers have settled."""
    world.no_faults()
    for number in range(1, times + 1):
        job = Job(settings, world.admin_url, ahead=Ahead(AFTER_SETTLING * number))
        assert run_alone(job, folder).how == "done"


def invoiced(world: World) -> dict[str, Decimal]:
    """Return the posted net amount per external document number."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in world.business_central("salesInvoices"):
        if row["_posted"]:
            sums[row["externalDocumentNumber"]] += row["totalAmountExcludingTax"]
    return dict(sums)


def closed_orders(world: World) -> dict[str, Decimal]:
    """Return the net total of each closed Order by its number."""
    return {
        row["OrderNumber"]: row["TotalAmount"]
        for row in world.salesforce("Order")
        if row["StatusCode"] == "Activated"
    }


def assert_invoiced_once(world: World, settings: ConnectionSettings) -> None:
    """Every Order is invoiced for its total, no more; nothing is left open in the ledger."""
    wanted, found = closed_orders(world), invoiced(world)
    assert found.keys() == wanted.keys()
    assert all(abs(found[number] - wanted[number]) < Decimal("0.02") for number in wanted)
    assert list(Ledger(settings.ledger_url_text()).left_open()) == []


@pytest.mark.parametrize("loss", LOST, ids=str)
def test_ship_and_invoice_with_lost_answers(
    examined_world: tuple[World, str],
    settings: ConnectionSettings,
    tmp_path: Path,
    loss: dict[str, Any],
) -> None:
    """The order is read before the posting is repeated, so it is shipped and invoiced once."""
    world, _ = examined_world
    settings = shipping(settings)
    world.faults("business-central", [{"method": "POST", "path": ACTION, "times": 3, **loss}])
    run_alone(Job(settings, world.admin_url), tmp_path)

    runs(world, settings, tmp_path, 3)

    assert_invoiced_once(world, settings)


@pytest.mark.parametrize("nth", [13, 14, 15, 16])
def test_ship_and_invoice_killed(
    examined_world: tuple[World, str], settings: ConnectionSettings, tmp_path: Path, nth: int
) -> None:
    """Killed right before or after BC got the posting; the next runs post what is missing."""
    world, _ = examined_world
    settings = shipping(settings)
    ended = run_alone(Job(settings, world.admin_url, [Event("create", nth, "kill")]), tmp_path)

    runs(world, settings, tmp_path, 3)

    assert ended.how == "killed"
    assert_invoiced_once(world, settings)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_posting_of_drafts_killed(
    examined_world: tuple[World, str], settings: ConnectionSettings, tmp_path: Path, nth: int
) -> None:
    """Killed right before or after BC got the posting of a clerk's draft; each is posted once."""
    world, _ = examined_world
    assert run_alone(Job(settings, world.admin_url), tmp_path).how == "done"
    for order in world.business_central("salesOrders"):
        body = {"system": "business-central", "act": "draft_invoice", "order": order["number"]}
        assert world.act(body)
    ended = run_alone(Job(settings, world.admin_url, [Event("create", nth, "kill")]), tmp_path)

    runs(world, settings, tmp_path, 3)

    assert ended.how == "killed"
    assert_invoiced_once(world, settings)


@pytest.mark.parametrize("loss", LOST, ids=str)
def test_posting_of_drafts_with_lost_answers(
    examined_world: tuple[World, str],
    settings: ConnectionSettings,
    tmp_path: Path,
    loss: dict[str, Any],
) -> None:
    """The invoice is read before the posting is repeated, so each is posted once."""
    world, _ = examined_world
    assert run_alone(Job(settings, world.admin_url), tmp_path).how == "done"
    for order in world.business_central("salesOrders"):
        body = {"system": "business-central", "act": "draft_invoice", "order": order["number"]}
        assert world.act(body)
    world.faults("business-central", [{"method": "POST", "path": ACTION, "times": 3, **loss}])
    run_alone(Job(settings, world.admin_url), tmp_path)

    runs(world, settings, tmp_path, 3)

    assert_invoiced_once(world, settings)
