"""Postal addresses: streets over two lines, countries by code or by name."""

from __future__ import annotations

import gettext
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

import pycountry

from ml_connector.domain.fitting import cleaned, width, wrapped

STREET_LIMITS = (100, 50)
"""Width of BC's two address lines."""

_LANGUAGES = (
    "de", "fr", "es", "it", "nl", "pt", "pt_BR", "sv", "nb_NO", "nn", "da", "fi", "is", "pl", "cs",
    "sk", "hu", "ro", "hr", "sl", "et", "lv", "lt", "el", "bg", "ru", "uk", "tr", "ja", "ko",
    "zh_CN", "zh_TW", "ar", "he", "ga", "ca",
)  # fmt: skip
"""Languages whose names of countries are understood besides English."""

_ALIASES = {
    "uk": "GB", "u k": "GB", "great britain": "GB", "britain": "GB", "england": "GB",
    "scotland": "GB", "wales": "GB", "northern ireland": "GB", "u s a": "US", "u s": "US",
    "america": "US", "united states of america": "US", "the united states": "US",
    "brd": "DE", "holland": "NL", "the netherlands": "NL", "czech republic": "CZ",
    "south korea": "KR", "republic of korea": "KR", "north korea": "KP", "russia": "RU",
    "vietnam": "VN", "turkey": "TR", "uae": "AE", "u a e": "AE", "ivory coast": "CI",
    "macedonia": "MK", "swaziland": "SZ", "cape verde": "CV", "burma": "MM", "east timor": "TL",
    "vatican": "VA", "vatican city": "VA", "palestine": "PS", "macau": "MO", "bosnia": "BA",
    "ksa": "SA", "p r china": "CN", "prc": "CN", "peoples republic of china": "CN",
    "republic of ireland": "IE", "eire": "IE", "kosovo": "XK",
    "grossbritannien": "GB", "grande bretagne": "GB", "gran bretana": "GB", "gran bretagna": "GB",
    "groot brittannie": "GB", "angleterre": "GB", "estados unidos": "US", "etats unis": "US",
}  # fmt: skip
"""Names people type that are in no list of countries."""


def split_street(street: str | None) -> tuple[str, str, str]:
    """Return a street for BC's two address lines, and what does not fit on them.

    Split at the first line break when both parts fit, else by length at a word's end.
    """
    parts = [line for line in map(cleaned, (street or "").splitlines()) if line]
    if not parts:
        return "", "", ""
    first, second = parts[0], ", ".join(parts[1:])
    if width(first) <= STREET_LIMITS[0] and width(second) <= STREET_LIMITS[1]:
        return first, second, ""
    return wrapped(", ".join(parts), *STREET_LIMITS)


@lru_cache(maxsize=4096)
def _key(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.casefold().replace("&", " and "))
    plain = "".join(c if c.isalnum() else " " for c in letters if not unicodedata.combining(c))
    return " ".join(plain.split())


@lru_cache(maxsize=1)
def _english_names() -> Mapping[str, str]:
    names: dict[str, str] = {}
    for country in pycountry.countries:
        spellings = [country.alpha_2, country.alpha_3, country.name]
        spellings += [getattr(country, name, "") for name in ("common_name", "official_name")]
        for spelling in filter(None, spellings):
            names.setdefault(_key(spelling), country.alpha_2)
    return {**names, **_ALIASES}


@lru_cache(maxsize=1)
def _foreign_names() -> Mapping[str, str]:
    names: dict[str, str] = {}
    for language in _LANGUAGES:
        translation = gettext.translation(
            "iso3166-1", pycountry.LOCALES_DIR, languages=[language], fallback=True
        )
        for country in pycountry.countries:
            for name in ("name", "common_name", "official_name"):
                english = getattr(country, name, "")
                if english:
                    names.setdefault(_key(translation.gettext(english)), country.alpha_2)
    return names


def iso_country(text: str) -> str:
    """Return the ISO 3166 two-letter code of a country given by code or name; "" when unknown."""
    key = _key(text)
    if not key:
        return ""
    return _english_names().get(key) or _foreign_names().get(key, "")


def iso_countries() -> dict[str, str]:
    """Return ISO's countries: two-letter code → English name."""
    return {country.alpha_2: country.name for country in pycountry.countries}


def country_code(texts: Iterable[str | None], countries: Mapping[str, str]) -> str | None:
    """Return the code of *countries* (BC's own: code → name) that the first non-blank text means.

    Returns: "" when every text is blank, None when the country is unknown or not in BC's list.
    """
    text = next((found for found in map(cleaned, texts) if found), "")
    if not text:
        return ""
    if text.upper() in countries:
        return text.upper()
    key = _key(text)
    for code, name in countries.items():
        if key and _key(name) == key:
            return code
    iso = iso_country(text)
    if not iso:
        return None
    return _code_of(iso, countries)


def _code_of(iso: str, countries: Mapping[str, str]) -> str | None:
    if iso in countries:
        return iso
    found = pycountry.countries.get(alpha_2=iso)
    if found is not None and found.alpha_3 in countries:
        return str(found.alpha_3)
    return next(
        (code for code, name in countries.items() if name and iso_country(name) == iso), None
    )
