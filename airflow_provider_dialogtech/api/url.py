"""Which URLs may be called. The keys travel with each call, so all who read a URL must read the same in it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import requests
import urllib3


def checked_url(written: str) -> str | None:
    """Return a URL as it will be called; None where it cannot be read, or not everybody reads the same in it.

    :param written: what the connection says.
    """
    try:
        called = requests.Request("GET", written).prepare().url or ""
        agreed = _readers_agree(written, called)
    except (ValueError, requests.RequestException, urllib3.exceptions.HTTPError):
        return None
    unsafe = any(sign in written for sign in "\\@?#") or any(sign.isspace() or sign < " " for sign in written)
    return called if agreed and not unsafe else None


def may_carry_keys(url: str) -> bool:
    """Return whether a URL is https, or http to this machine itself.

    :param url: the URL, as `checked_url` returned it.
    """
    return url.startswith("https:") or (url.startswith("http:") and _is_this_machine(url))


def _readers_agree(written: str, called: str) -> bool:
    # What one parser takes for this machine, another may call elsewhere.
    parts, theirs = urlsplit(called), urllib3.util.parse_url(called)
    host = parts.hostname or ""
    if "[" in parts.netloc or ":" in host:
        ipaddress.IPv6Address(host)
    else:
        host.encode("idna")
    same_port = parts.port == theirs.port == urlsplit(written).port
    return bool(host) and host == (theirs.host or "").strip("[]").lower() and same_port


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
