"""A comparison of numbers for triggers, which can only compare texts with patterns."""

from __future__ import annotations


def more_than(number: int) -> list[str]:
    """Return the patterns that together match the whole numbers above *number*, and nothing else.

    Prefect matches a label by shell patterns, of which one of a list has to fit: above 25 is three
    digits or more, or `[3-9][0-9]`, or `2[6-9]`.
    """
    digits = str(number)
    patterns = ["[1-9]" + "[0-9]" * len(digits) + "*"]
    for place, digit in enumerate(digits):
        if digit != "9":
            rest = len(digits) - place - 1
            patterns.append(f"{digits[:place]}[{int(digit) + 1}-9]" + "[0-9]" * rest)
    return patterns
