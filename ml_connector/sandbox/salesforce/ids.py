"""Record ids: fifteen case-sensitive characters, and eighteen with the check suffix."""

import string

_SUFFIX = string.ascii_uppercase + "012345"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ALLOWED = frozenset(_DIGITS)
_INSTANCE = "5g"


def with_suffix(short: str) -> str:
    """The eighteen-character form of a fifteen-character id."""
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(
            1 << place
            for place, letter in enumerate(short[start : start + 5])
            if "A" <= letter <= "Z"
        )
        suffix += _SUFFIX[bits]
    return short + suffix


def normal_id(value: str) -> str | None:
    """The eighteen-character id that ``value`` names, or None when it is no id at all."""
    if len(value) not in (15, 18) or not _ALLOWED.issuperset(value):
        return None
    full = with_suffix(value[:15])
    if len(value) == 18 and value[15:].upper() != full[15:]:
        return None
    return full


def record_id(prefix: str, number: int) -> str:
    """The id of the ``number``-th record of the object with this key prefix."""
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return with_suffix(f"{prefix}{_INSTANCE}{digits:0>10}")


def record_number(value: str) -> int:
    """The counter inside an id made by ``record_id``; 0 for an id of another origin."""
    if value[3:5] != _INSTANCE:
        return 0
    number = 0
    for letter in value[5:15]:
        number = number * 62 + _DIGITS.index(letter)
    return number
