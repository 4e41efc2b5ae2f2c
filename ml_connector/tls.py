"""Trust for outgoing connections: the system's authorities, Mozilla's and the user's own."""

from __future__ import annotations

import ssl
from functools import lru_cache

import certifi

from ml_connector.errors import ConfigurationError


@lru_cache(maxsize=8)
def trusted_context(extra_ca_pem: str = "") -> ssl.SSLContext:
    """Return a verifying client context; *extra_ca_pem* is added to the known authorities.

    Both clients share one: reading the authorities takes longer than a call.

    Raises: ConfigurationError when the extra text holds no PEM certificate.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=certifi.where())
    if extra_ca_pem.strip():
        try:
            context.load_verify_locations(cadata=extra_ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigurationError(
                "The CA file holds no readable PEM certificate.",
                code="invalid_ca",
                remedy="Point ca_file to the CA certificate in PEM form, then run `connect` again.",
            ) from error
    return context
