"""What a plan's artifacts say when there is more than they show."""

from __future__ import annotations

from tasks.plans import ROWS, plan_text


def _document(stuck: int) -> dict[str, object]:
    row = {
        "kind": "order",
        "salesforce_number": "00000100",
        "bc_number": "",
        "salesforce_id": "801",
        "state": "parked",
        "message": "why",
    }
    return {
        "connection": "acme",
        "plan_id": "0123456789",
        "actions": {},
        "calls": {},
        "money": [],
        "guard": {"stops": False},
        "records": [row] * stuck,
    }


def test_records_beyond_the_rows_shown_are_counted_and_where_to_find_them_is_said() -> None:
    """Nobody takes the first rows for all of them."""
    text = plan_text(_document(ROWS + 7))

    assert text.count("| order 00000100 |") == ROWS
    assert f"The first {ROWS} of {ROWS + 7}; `ml-connector sync acme --plan --json`" in text


def test_records_that_are_all_shown_need_no_word() -> None:
    """Exactly as many as there are rows are all."""
    text = plan_text(_document(ROWS))

    assert text.count("| order 00000100 |") == ROWS
    assert "The first" not in text
