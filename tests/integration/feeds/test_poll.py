"""The poll finds what no event told, wherever it ends and however late a commit is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ml_connector.changes.poll_feed import LONG_AGO, OVERLAP, poll_entity, widen
from ml_connector.errors import TransientError
from ml_connector.exchange.feed_report import feeds
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Checkpoint
from tests.integration.exchange.conftest import Connected
from tests.integration.feeds.both_feeds import ClockAhead

Pages = Iterator[list[dict[str, Any]]]
AWAY = timedelta(hours=50)
PAGE = 10
BEGAN = datetime(2020, 1, 1, tzinfo=UTC)


class Org:
    """Stands before the org's queries: hides records, breaks off, lets things happen meanwhile."""

    def __init__(self, systems: Systems, monkeypatch: pytest.MonkeyPatch) -> None:
        self.purged: set[str] = set()
        self.pages_until_failure: int | None = None
        self.after_page: Callable[[], None] = lambda: None
        self.rows = 0
        self._systems = systems
        self._query = systems.salesforce.query
        monkeypatch.setattr(systems.salesforce, "query", self._pages)

    def break_off(self, pages: int) -> None:
        """Let a poll of Accounts die after so many pages; the next one gets through."""
        self.pages_until_failure = pages
        with pytest.raises(TransientError):
            poll_entity(self._systems, "Account")
        self.pages_until_failure, self.rows = None, 0

    def _pages(self, soql: str, **options: Any) -> Pages:
        for number, page in enumerate(self._query(soql, **options)):
            if number == self.pages_until_failure:
                raise TransientError("The org is not available.")
            self.rows += len(page)
            yield [row for row in page if row["Id"] not in self.purged]
            self.after_page()


def edit(connected: Connected, account: dict[str, Any], phone: str) -> None:
    """Let a rep change an Account."""
    fields = {"Phone": phone}
    connected.act("salesforce", "edit", sobject="Account", record=account["Id"], fields=fields)


def checkpoint(systems: Systems) -> Checkpoint:
    """Return how far Accounts were polled."""
    found = systems.ledger.checkpoint("salesforce/Account/poll")
    assert found is not None
    return found


def refuse(*_: Any) -> Any:
    """Fail as a call does while the org is not available."""
    raise TransientError("The org is not available.")


def polled_accounts(systems: Systems) -> set[str]:
    """Return the Accounts that came by a poll of rows."""
    ids = systems.ledger.pending_ids("salesforce", "Account")
    return {
        key for key in ids if any(each.source == "poll" for each in systems.ledger.changes_of(key))
    }


@pytest.mark.parametrize("broken", ["query", "deleted", "updated"])
def test_a_poll_that_dies_forgets_no_deletion(
    connected: Connected, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Wherever it ends, the next one asks for deletions from where the last whole one was."""
    account = connected.salesforce("Account")[0]
    with Systems.open(connected.settings) as systems:
        poll_entity(systems, "Account")
        before = checkpoint(systems)
    made = connected.act("salesforce", "create", sobject="Account", fields={"Name": "Short Life"})
    connected.act("salesforce", "delete", sobject="Account", record=made["Id"])
    connected.later(AWAY.total_seconds())
    edit(connected, account, "+1 555 0100")

    with Systems.open(connected.settings, clock=ClockAhead(AWAY)) as systems:
        org = Org(systems, monkeypatch)
        org.purged = {made["Id"]}
        with monkeypatch.context() as patch:
            if broken == "query":
                org.after_page = refuse
            else:
                patch.setattr(systems.salesforce, broken, refuse)
            with pytest.raises(TransientError):
                poll_entity(systems, "Account")
        (lag,) = (each["lag_seconds"] for each in feeds(systems))
        assert checkpoint(systems).confirmed_at == before.confirmed_at
        assert lag >= AWAY.total_seconds()

        org.after_page = lambda: None
        poll_entity(systems, "Account")

        assert [each.change_type for each in systems.ledger.changes_of(made["Id"])] == ["DELETE"]
        assert account["Id"] in polled_accounts(systems)
        assert systems.clock.now() - checkpoint(systems).confirmed_at < timedelta(minutes=1)


def load(connected: Connected, name: str, *stamps: datetime) -> list[str]:
    """Let Accounts be there that were changed at *stamps*, without an event; returns their ids."""
    texts = [stamp.astimezone(UTC).isoformat() for stamp in stamps]
    columns = ("CreatedDate", "LastModifiedDate", "SystemModstamp")
    rows = [{"Name": name, **dict.fromkeys(columns, text)} for text in texts]
    body = {"entity": "Account", "rows": rows}
    connected.sandbox.admin.post("/salesforce/load", json=body).raise_for_status()
    return [row["Id"] for row in connected.salesforce("Account", Name=name)]


def with_old_accounts(connected: Connected) -> set[str]:
    """Let two pages of Accounts lie far back, a day apart; returns the ids of all."""
    connected.switch("salesforce", query_page_size=PAGE)
    load(connected, "Old", *(BEGAN + timedelta(days=day) for day in range(2 * PAGE)))
    return {row["Id"] for row in connected.salesforce("Account")}


def test_an_interrupted_poll_goes_on_with_the_last_stored_row(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows before it are not read again; nothing counts as confirmed before the end."""
    everybody = with_old_accounts(connected)
    with Systems.open(connected.settings) as systems:
        org = Org(systems, monkeypatch)
        org.break_off(2)
        interrupted = checkpoint(systems)
        poll_entity(systems, "Account")

        assert interrupted.confirmed_at == LONG_AGO
        assert org.rows == len(everybody) - 2 * PAGE + 1
        assert polled_accounts(systems) == everybody
        assert checkpoint(systems).position == ""


def test_what_is_committed_late_before_the_last_stored_row_is_found(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll that goes on asks for changed ids from where everything is confirmed."""
    connected.switch("salesforce", query_page_size=PAGE)
    with Systems.open(connected.settings) as systems:
        poll_entity(systems, "Account")
        overlap = checkpoint(systems).confirmed_at - OVERLAP
        load(connected, "New", *(overlap + timedelta(seconds=90 + at) for at in range(PAGE + 1)))
        org = Org(systems, monkeypatch)
        org.break_off(1)
        (late,) = load(connected, "Late", overlap + timedelta(seconds=70))
        poll_entity(systems, "Account")

        assert late in systems.ledger.pending_ids("salesforce", "Account")


def test_the_next_poll_begins_at_the_latest_date_covered(connected: Connected) -> None:
    """While a long transaction is open the checkpoint stays before it, whatever else changed."""
    account = connected.salesforce("Account")[0]
    with Systems.open(connected.settings) as systems:
        connected.switch("salesforce", replication_lag_seconds=1200)
        poll_entity(systems, "Account")
        edit(connected, account, "+1 555 0110")
        poll_entity(systems, "Account")
        (late,) = load(connected, "Late", systems.clock.now() - timedelta(minutes=15))
        connected.switch("salesforce", replication_lag_seconds=0)
        poll_entity(systems, "Account")

        assert {late, account["Id"]} <= polled_accounts(systems)
        assert systems.clock.now() - checkpoint(systems).confirmed_at < timedelta(minutes=1)


def test_a_transaction_that_stays_open_holds_the_checkpoint_where_it_is(
    connected: Connected,
) -> None:
    """Polls do not go further back with each look."""
    with Systems.open(connected.settings) as systems:
        poll_entity(systems, "Account")
        before = checkpoint(systems)
        connected.switch("salesforce", replication_lag_seconds=7200)
        poll_entity(systems, "Account")
        poll_entity(systems, "Account")

        assert checkpoint(systems) == before


def test_a_row_that_changes_again_while_others_are_read_is_polled_again(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll that takes longer than its overlap confirms no more than when it began."""
    account = connected.salesforce("Account")[0]
    clock = ClockAhead()
    with Systems.open(connected.settings, clock=clock) as systems:
        poll_entity(systems, "Account")
        edit(connected, account, "+1 555 0120")
        org = Org(systems, monkeypatch)

        def time_passes() -> None:
            edit(connected, account, "+1 555 0121")
            clock.ahead += 2 * OVERLAP
            connected.later(2 * OVERLAP.total_seconds())
            org.after_page = lambda: None

        org.after_page = time_passes
        poll_entity(systems, "Account")
        known = len(systems.ledger.changes_of(account["Id"]))
        poll_entity(systems, "Account")

        assert len(systems.ledger.changes_of(account["Id"])) == known + 1


def test_a_hole_is_polled_from_its_beginning_though_a_poll_was_past_it(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an unfinished poll nor a running one moves the checkpoint past a hole."""
    everybody = with_old_accounts(connected)
    with Systems.open(connected.settings) as systems:
        org = Org(systems, monkeypatch)
        org.break_off(2)
        hole = LONG_AGO + timedelta(days=1)
        widen(systems, "Account", hole)
        org.after_page = lambda: widen(systems, "Account", hole)
        poll_entity(systems, "Account")
        assert org.rows == len(everybody)
        assert checkpoint(systems).confirmed_at == LONG_AGO

        org.after_page, org.rows = lambda: None, 0
        poll_entity(systems, "Account")
        assert org.rows == len(everybody)
        whole = checkpoint(systems)
        widen(systems, "Account", whole.confirmed_at + timedelta(seconds=1))
        assert checkpoint(systems) == whole
        widen(systems, "Account", hole)
        assert (checkpoint(systems).position, checkpoint(systems).confirmed_at) == ("", hole)


def test_a_hole_sets_an_unfinished_poll_back_to_its_beginning_and_no_further(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies before the hole is stored already: a long first poll does not begin again."""
    everybody = with_old_accounts(connected)
    with Systems.open(connected.settings) as systems:
        org = Org(systems, monkeypatch)
        org.break_off(2)
        widen(systems, "Account", BEGAN + timedelta(days=15))
        poll_entity(systems, "Account")

        assert org.rows == len(everybody) - 15
        assert polled_accounts(systems) == everybody
        assert checkpoint(systems).confirmed_at > BEGAN


def test_an_idle_poll_costs_three_calls(connected: Connected) -> None:
    """The changed rows, and one list each of updated and deleted ids."""
    with Systems.open(connected.settings) as systems:
        poll_entity(systems, "Account")
        connected.reset_traffic()
        poll_entity(systems, "Account")

    assert connected.traffic()["salesforce"] == 3


def test_rows_alone_are_confirmed_where_the_org_keeps_no_lists(connected: Connected) -> None:
    """An org whose lists cannot be had is polled on, not from the same moment for ever."""
    clock = ClockAhead()
    with Systems.open(connected.settings, clock=clock) as systems:
        poll_entity(systems, "Account")
        clock.ahead = 2 * OVERLAP
        connected.later(clock.ahead.total_seconds())
        lists = {"path": "/(updated|deleted)/", "status": 400, "times": None}
        connected.fault("salesforce", code="INVALID_REPLICATION_DATE", **lists)
        poll_entity(systems, "Account")

        assert systems.clock.now() - checkpoint(systems).confirmed_at < timedelta(minutes=1)
