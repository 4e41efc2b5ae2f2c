"""JSON on the sandbox's wire: numbers with a fraction are Decimal in both directions."""

from decimal import Decimal
from typing import Any

import msgspec


class WireError(ValueError):
    """The bytes are not JSON."""


_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def encode(value: Any) -> bytes:
    """Write a value as JSON; a Decimal becomes a number with all its digits."""
    return _ENCODER.encode(value)


def decode(data: bytes | str) -> Any:
    """Read JSON; integers stay int, every other number becomes a Decimal."""
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(str(error)) from error
