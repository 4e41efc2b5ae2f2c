"""The HTTP session to Salesforce: verified TLS and time limits, whatever the environment says."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from ml_connector.proxy import proxy_for
from ml_connector.tls import trusted_context

CONNECT_SECONDS = 10.0
READ_SECONDS = 120.0


class TrustingAdapter(HTTPAdapter):
    """Connects with one TLS context, whatever CA variables the environment sets."""

    def __init__(self, ca_pem: str) -> None:
        self._context = trusted_context(ca_pem)
        super().__init__(pool_connections=4, pool_maxsize=16, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Give direct connections our context."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Give connections through a proxy our context."""
        return super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave trust to our context; requests would read its own list for each connection."""
        del url, verify, cert
        conn.cert_reqs = "CERT_REQUIRED"


def open_session(url: str, ca_pem: str) -> requests.Session:
    """Return a session for *url*'s host that trusts *ca_pem* beside the known authorities.

    Neither CA variables nor .netrc change what it does; cookies are dropped.
    """
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", TrustingAdapter(ca_pem))
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    proxy = proxy_for(url)
    if proxy:
        session.proxies = {"https": proxy}
    return session
