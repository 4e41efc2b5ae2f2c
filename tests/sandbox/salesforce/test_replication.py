"""What was touched and deleted within a span of time."""

from datetime import UTC, datetime, timedelta
from typing import Any


def _span(org: Any, minutes_back: float, minutes_ahead: float = 2) -> dict[str, str]:
    now = datetime.fromisoformat(org.admin.get("/clock").json()["now"]).astimezone(UTC)
    return {
        "start": f"{now - timedelta(minutes=minutes_back):%Y-%m-%dT%H:%M:%S}+00:00",
        "end": f"{now + timedelta(minutes=minutes_ahead):%Y-%m-%dT%H:%M:%S}+00:00",
    }


def test_updated_names_created_changed_and_restored_records(org: Any) -> None:
    """Deleted ones are not among them; the covered time is never ahead of the clock."""
    one, two, three = (org.create("Account", Name=name) for name in "abc")
    org.move_clock(600)
    org.call("PATCH", f"/sobjects/Account/{two}", {"Phone": "1"})
    org.call("DELETE", f"/sobjects/Account/{three}")
    found = org.call("GET", "/sobjects/Account/updated/", params=_span(org, 5)).json()
    assert found["ids"] == [two]
    assert found["latestDateCovered"].endswith(".000+0000")
    deleted = org.call("GET", "/sobjects/Account/deleted/", params=_span(org, 5)).json()
    assert [record["id"] for record in deleted["deletedRecords"]] == [three]
    assert deleted["earliestDateAvailable"] < deleted["latestDateCovered"]
    org.act("undelete", record=three)
    found = org.call("GET", "/sobjects/Account/updated", params=_span(org, 5)).json()
    assert set(found["ids"]) == {two, three}
    found = org.call("GET", "/sobjects/Account/updated", params=_span(org, 60)).json()
    assert set(found["ids"]) == {one, two, three}


def test_windows_have_their_rules(org: Any) -> None:
    """At least a minute, at most thirty (deleted: fifteen) days back, with an explicit zone."""
    refusal = (400, "INVALID_REPLICATION_DATE")
    span = _span(org, 1)
    path = "/sobjects/Account/updated"
    assert org.refusal("GET", path, params={**span, "end": span["start"]}) == refusal
    assert org.refusal("GET", path, params=_span(org, 31 * 24 * 60)) == refusal
    days = _span(org, 16 * 24 * 60)
    assert org.call("GET", path, params=days).status_code == 200
    assert org.refusal("GET", "/sobjects/Account/deleted", params=days) == refusal
    bare = {key: value.replace("+00:00", "Z") for key, value in span.items()}
    assert org.refusal("GET", path, params=bare) == refusal
    assert org.refusal("GET", f"{path}?start={span['start']}&end={span['end']}") == refusal
    org.switch(accept_bare_z=True)
    assert org.call("GET", path, params=bare).status_code == 200


def test_objects_without_replication_refuse(org: Any) -> None:
    """Only replicateable objects have the resource."""
    assert org.refusal("GET", "/sobjects/OrderStatus/updated", params=_span(org, 5))[0] == 400
