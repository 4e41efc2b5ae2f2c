"""The proxy the environment asks for, and none for this computer itself."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str:
    """Return the address of the proxy to reach *url* through; "" for a direct connection.

    Follows HTTPS_PROXY, ALL_PROXY and NO_PROXY; loopback hosts are always direct.
    """
    host = urlsplit(url).hostname or ""
    if _is_loopback(host) or proxy_bypass(host):
        return ""
    proxies = getproxies()
    return proxies.get("https") or proxies.get("all") or ""


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
