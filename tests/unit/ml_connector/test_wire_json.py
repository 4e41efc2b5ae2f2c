"""The JSON codec keeps every digit and refuses what is cut."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ml_connector import wire_json
from ml_connector.errors import ContractError


@pytest.mark.parametrize(
    "text", [b"1.10", b"0.1", b"12345678901234567890.123456789", b"-0.00", b"1E+3", b"7"]
)
def test_numbers_survive_both_ways(text: bytes) -> None:
    """No digit and no trailing zero is lost."""
    assert wire_json.encode(wire_json.decode(text)) == text


def test_fractions_are_decimals_and_whole_numbers_ints() -> None:
    """No float is ever made."""
    assert wire_json.decode(b'{"a":1.5,"b":2}') == {"a": Decimal("1.5"), "b": 2}
    assert isinstance(wire_json.decode(b"1.5"), Decimal)


def test_keys_keep_their_order() -> None:
    """BC validates properties in the order received."""
    assert wire_json.encode({"b": 1, "a": date(2026, 1, 31)}) == b'{"b":1,"a":"2026-01-31"}'


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a":1', b"<html>", b"[1] x", b'"\xff"', b"[" * 100_000, b"NaN"]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Cut bodies and gateway pages have one error."""
    with pytest.raises(ContractError):
        wire_json.decode(body)


def test_a_byte_order_mark_is_survived() -> None:
    """Some gateways put one in front."""
    assert wire_json.decode(b"\xef\xbb\xbf{}") == {}


def test_what_json_cannot_carry_is_refused() -> None:
    """A programming error is not hidden."""
    content: Any = {"a": object()}
    with pytest.raises(TypeError):
        wire_json.encode(content)
