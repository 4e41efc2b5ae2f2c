"""Text in fields of limited length."""

from __future__ import annotations

import pytest

from ml_connector.domain.fitting import cleaned, cut_at_word, head, width, wrapped


def test_width_counts_utf_16_units() -> None:
    """As both vendors do."""
    assert (width("a"), width("中"), width("🚚"), width("")) == (1, 1, 2, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, ""), ("", ""), ("  a \t b\r\nc\x00 ", "a b c"), ("\u00a0x\u00a0", "x")],
)
def test_cleaned_text_is_one_line(text: str | None, expected: str) -> None:
    """Without control characters and outer blanks."""
    assert cleaned(text) == expected


def test_a_character_is_never_halved() -> None:
    """An emoji that does not fit stays out whole."""
    assert head("a🚚b", 2) == "a"


@pytest.mark.parametrize(
    ("text", "limit", "mark", "expected"),
    [
        ("short", 10, "…", "short"),
        ("one two three", 8, "", "one two"),
        ("one two three", 7, "", "one two"),
        ("one, two three", 5, "", "one"),
        ("one two three", 9, "…", "one two…"),
        ("abcdefghijkl", 5, "", "abcde"),
        ("a bcdefghijkl", 5, "", "a bcd"),
    ],
)
def test_cutting_at_a_word(text: str, limit: int, mark: str, expected: str) -> None:
    """Inside a word only when most would be lost otherwise."""
    assert cut_at_word(text, limit, mark) == expected


def test_wrapping_tells_what_is_left() -> None:
    """Two fields and a rest."""
    assert wrapped("aa bb cc dd", 5, 2) == ("aa bb", "cc", "dd")
    assert wrapped("", 5, 2) == ("", "", "")
