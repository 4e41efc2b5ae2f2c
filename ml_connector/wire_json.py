"""The one JSON codec: amounts stay Decimal, digit for digit, in both directions.

Floats are never produced; `1.10` read is `Decimal("1.10")` and is written as `1.10` again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from ml_connector.errors import ContractError

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def encode(content: Any) -> bytes:
    """Return *content* as JSON in UTF-8, keys in the order given.

    Dates become `YYYY-MM-DD`, aware times ISO-8601, Decimals plain JSON numbers.
    Raises: TypeError for what JSON cannot carry.
    """
    return _ENCODER.encode(content)


def decode(body: bytes) -> Any:
    """Return what *body* says; numbers with a decimal point or exponent as Decimal.

    Raises: ContractError when it is not one complete JSON document.
    """
    try:
        return _DECODER.decode(body.removeprefix(_BYTE_ORDER_MARK))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        raise ContractError("The answer is not readable JSON.", code="unreadable_answer") from error
