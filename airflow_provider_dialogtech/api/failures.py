"""A failed call in words. The libraries' own words hold URLs and hosts, so only the kind of an error is named."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator

import requests
import urllib3
from urllib3.util.ssl_match_hostname import CertificateError

from airflow_provider_dialogtech.api.bounds import TooLarge


class NotLeft(Exception):
    """No byte of the request has left."""


class NoReply(Exception):
    """The request has left, at least in part, and no whole reply came."""


# The first of these that an error, or one that led to it, is a kind of.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (TooLarge, "the reply is larger than it may be"),
    (socket.gaierror, "its name was not resolved"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted"),
    (CertificateError, "its certificate is not trusted"),
    (ssl.SSLError, "TLS failed"),
    (urllib3.exceptions.SSLError, "TLS failed"),
    (ConnectionRefusedError, "the connection was refused"),
    (http.client.RemoteDisconnected, "the connection was closed without a reply"),
    (ConnectionResetError, "the connection was reset"),
    (BrokenPipeError, "the connection was reset"),
    (http.client.IncompleteRead, "the reply ended early"),
    (http.client.HTTPException, "what came was no HTTP"),
    (requests.exceptions.InvalidProxyURL, "the proxy's URL cannot be read"),
    (urllib3.exceptions.ProxySchemeUnknown, "the proxy's URL cannot be read"),
    (urllib3.exceptions.LocationParseError, "its URL cannot be read"),
    (requests.exceptions.InvalidSchema, "a SOCKS proxy needs the package PySocks"),
    (UnicodeError, "it has characters that cannot be encoded"),
)


def in_words(error: BaseException) -> str:
    """Name the kind of a failure, by the most specific of the errors that led to it."""
    if isinstance(error, NotLeft):
        return str(error)
    found = tuple(_chain(error))
    return next((words for kind, words in _WORDS if any(isinstance(one, kind) for one in found)), type(error).__name__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop()
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]
