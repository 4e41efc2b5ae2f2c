"""Streets over two lines, countries by code or name."""

from __future__ import annotations

import pytest

from ml_connector.domain.address import country_code, iso_country, split_street
from tests.builders.contexts import COUNTRIES


@pytest.mark.parametrize(
    ("street", "lines"),
    [
        (None, ("", "", "")),
        (" \n ", ("", "", "")),
        ("1 Main Street", ("1 Main Street", "", "")),
        ("Hinterhaus\r\n1 Main Street", ("Hinterhaus", "1 Main Street", "")),
        ("a\nb\n\nc", ("a", "b, c", "")),
        ("x" * 100, ("x" * 100, "", "")),
        ("x" * 151, ("x" * 100, "x" * 50, "x")),
        ("中" * 120, ("中" * 100, "中" * 20, "")),
        ("🚚" * 60, ("🚚" * 50, "🚚" * 10, "")),
    ],
)
def test_streets(street: str | None, lines: tuple[str, str, str]) -> None:
    """At a line break, else by width; what is left over is told."""
    assert split_street(street) == lines


def test_a_long_street_is_split_at_a_word() -> None:
    """Nothing but blanks is lost."""
    street = "word " * 28
    first, second, left = split_street(street)

    assert first.endswith("word")
    assert left == ""
    assert f"{first} {second}" == street.strip()


def test_lines_that_do_not_fit_are_joined_and_split_anew() -> None:
    """A short first line leaves room for the second."""
    first, second, left = split_street("c/o Somebody\n" + "word " * 20)

    assert left == ""
    assert first.startswith("c/o Somebody, word")
    assert second


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", ""),
        ("  ", ""),
        (None, ""),
        ("de", "DE"),
        ("DEU", "DE"),
        ("Deutschland", "DE"),
        ("germany ", "DE"),
        ("UK", "GB"),
        ("U.K.", "GB"),
        ("England", "GB"),
        ("United Kingdom of Great Britain and Northern Ireland", "GB"),
        ("Großbritannien", "GB"),
        ("USA", "US"),
        ("U.S.A.", "US"),
        ("États-Unis", "US"),
        ("日本", "JP"),
        ("Frankreich", "FR"),
        ("Wonderland", None),
        ("🇩🇪", None),
        ("Austria", None),
    ],
)
def test_countries(text: str | None, code: str | None) -> None:
    """By code, by name in many languages; unknown and not listed ones are None."""
    assert country_code((text,), COUNTRIES) == code


def test_the_first_text_that_says_something_counts() -> None:
    """A code before a name."""
    assert country_code((None, " ", "France"), COUNTRIES) == "FR"
    assert country_code(("DE", "France"), COUNTRIES) == "DE"


def test_bcs_own_codes_and_names_are_understood() -> None:
    """A company may use codes that are not ISO's."""
    assert country_code(("Great Britain",), {"UK": "United Kingdom"}) == "UK"
    assert country_code(("Deutschland",), {"DEU": ""}) == "DEU"
    assert country_code(("Northland",), {"NL1": "Northland"}) == "NL1"
    assert country_code(("Kosovo",), {"XK": "Kosovo"}) == "XK"
    assert country_code(("Kosovo",), {"RS": "Serbia"}) is None


def test_nothing_is_no_country() -> None:
    """Punctuation alone means nothing."""
    assert iso_country("-") == ""
