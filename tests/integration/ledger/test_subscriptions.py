"""Our subscriptions to notifications, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ml_connector.ledger.ledger import KnownSubscription, Ledger

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def known(subscription_id: str, entity_set: str, verified_at: datetime) -> KnownSubscription:
    """A subscription as it was last seen."""
    return KnownSubscription(
        subscription_id=subscription_id,
        entity_set=entity_set,
        notification_url="https://hooks.example/",
        created_at=verified_at,
        verified_at=verified_at,
        expires_at=verified_at + timedelta(days=3),
    )


def test_a_subscription_is_kept_once(ledger_url: str) -> None:
    """Seen again it moves on in time, but was made when it was made; forgotten it is gone."""
    with Ledger.open(ledger_url) as store:
        ledger = store.connection("acme")
        with ledger.transaction() as tx:
            tx.save_subscription(known("b", "salesOrders", NOW))
            tx.save_subscription(known("a", "items", NOW))
        with ledger.transaction() as tx:
            tx.save_subscription(known("b", "salesOrders", NOW + timedelta(hours=1)))

        items, orders = ledger.subscriptions()
        assert (items.entity_set, orders.entity_set) == ("items", "salesOrders")
        assert orders.created_at == NOW
        assert orders.verified_at == NOW + timedelta(hours=1)
        assert store.connection("other").subscriptions() == []
        with ledger.transaction() as tx:
            tx.forget_subscriptions(["a", "b"])
        assert ledger.subscriptions() == []
