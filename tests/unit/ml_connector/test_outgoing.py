"""What every outgoing connection has in common: trust, proxy, clean texts."""

from __future__ import annotations

import ssl

import pytest
import trustme

from ml_connector.errors import ConfigurationError
from ml_connector.proxy import proxy_for
from ml_connector.redaction import LONGEST, redacted
from ml_connector.tls import trusted_context


def test_a_private_ca_is_added_to_the_known_ones() -> None:
    """The user's CA joins the others; verification stays on."""
    pem = trustme.CA().cert_pem.bytes().decode()

    plain, extended = trusted_context(), trusted_context(pem)

    assert extended.cert_store_stats()["x509_ca"] == plain.cert_store_stats()["x509_ca"] + 1
    assert extended.verify_mode is ssl.CERT_REQUIRED
    assert extended.check_hostname


def test_a_text_that_is_no_certificate_is_refused() -> None:
    """The error says which setting to correct."""
    with pytest.raises(ConfigurationError) as caught:
        trusted_context("-----BEGIN NONSENSE-----")

    assert caught.value.code == "invalid_ca"
    assert "ca_file" in caught.value.remedy


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Except for hosts named in NO_PROXY and this computer itself."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    monkeypatch.setenv("no_proxy", "inside.example")

    assert proxy_for("https://acme.example") == "http://proxy.example:3128"
    assert proxy_for("https://inside.example") == ""
    for host in ("127.0.0.1:8443", "localhost:1", "[::1]:1", "bc.localhost"):
        assert proxy_for(f"https://{host}") == ""


def test_texts_are_made_fit_for_a_log() -> None:
    """One line, no markup, no secrets, no tokens, bounded."""
    text = redacted("<p>bad\n secret=abc</p> Bearer abcdefgh.ijkl " + "x" * 1000, ["abc", ""])

    assert text.startswith("bad secret=*** ***")
    assert len(text) == LONGEST
    assert "\n" not in text
