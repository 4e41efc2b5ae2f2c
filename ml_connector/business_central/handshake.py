"""Ask a receiver for the handshake as BC asks it, to see that it answers."""

from __future__ import annotations

import secrets

import httpx

from ml_connector.tls import trusted_context

PATIENCE_SECONDS = 5.0
"""BC waits no longer."""

SMALLEST_ANSWER = 4_096


def handshake_trouble(notification_url: str, ca_pem: str) -> str:
    """Return what is wrong with the receiver's handshake; "" when it is as BC wants it.

    Effect: one POST without content to our own receiver, which stores nothing of it.
    """
    token = secrets.token_urlsafe(16)
    url = httpx.URL(notification_url).copy_add_param("validationToken", token)
    try:
        with httpx.Client(
            verify=trusted_context(ca_pem),
            trust_env=False,
            timeout=PATIENCE_SECONDS,
            follow_redirects=False,
        ) as client:
            answer = client.post(url)
    except httpx.TimeoutException:
        return "it does not answer within five seconds"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"it cannot be reached ({type(error).__name__})"
    if answer.status_code != 200:
        return f"it answers HTTP {answer.status_code}"
    if answer.text[:SMALLEST_ANSWER].strip() != token:
        return "it does not give the token back: that is not our receiver"
    return ""
