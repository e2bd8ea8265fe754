"""The DialogTech API: one call, one reply or one named error."""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

import requests

from airflow_provider_dialogtech import __version__
from airflow_provider_dialogtech.api.errors import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    InvalidConnection,
    Refused,
    Throttled,
    Unreachable,
)
from airflow_provider_dialogtech.api.exchange import Exchange, NoReply, NotLeft, RawReply, carry
from airflow_provider_dialogtech.api.reply import ApiReply, NotDocumented, parse_reply
from airflow_provider_dialogtech.api.wording import BAD_CREDENTIALS, THROTTLED
from airflow_provider_dialogtech.masking import mask_numbers, scrub

DEFAULT_URL = "https://secure.dialogtech.com/ibp_api.php"

_HEADERS = {
    "User-Agent": f"airflow-provider-dialogtech/{__version__}",
    "Accept": "application/xml, text/xml",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_LONGEST_DESCRIPTION = 200
_LONGEST_RETRY_AFTER = 3600.0


class DialogTechClient:
    """Calls the DialogTech API. One client may be used by several threads.

    :param access_key: the account's access key.
    :param secret_access_key: its secret access key.
    :param url: the API's URL: https, or http to this machine itself.
    :param http_method: `GET`, as the vendor's page has it, or `POST` with the same as a form.
    :param timeout: for how many seconds the connection may take to stand, and then the request with its reply.
    :param throttled_words: words or phrases in the reason of a refusal for the rate; by default the known ones.
    :raises InvalidConnection: when one of these is wrong.
    """

    def __init__(
        self,
        access_key: str,
        secret_access_key: str,
        url: str = DEFAULT_URL,
        *,
        http_method: str = "GET",
        timeout: float = 30.0,
        throttled_words: Sequence[str] = (),
    ) -> None:
        if not access_key or not secret_access_key:
            raise InvalidConnection("The login (access key) or the password (secret access key) is missing.")
        if http_method not in {"GET", "POST"}:
            raise InvalidConnection("http_method must be GET or POST.")
        if not 0 < timeout <= threading.TIMEOUT_MAX:
            raise InvalidConnection("timeout must be a number of seconds greater than 0.")
        self.timeout = timeout
        self._keys = {"access_key": access_key, "secret_access_key": secret_access_key}
        self._url = _checked(url)
        self._http_method = http_method
        self._throttled = _any_of(throttled_words) if throttled_words else THROTTLED
        self._under_way: set[Exchange] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {urlsplit(self._url).hostname}>"

    def send(self, *, to: str, from_: str, message: str, before_write: Callable[[], None] = lambda: None) -> ApiReply:
        """Send one text. A second call is a second text: the API knows no idempotency.

        :param to: the recipient's number, in digits.
        :param from_: the number it leaves from, in digits.
        :param message: what it says; it arrives letter for letter.
        :param before_write: called once the connection stands, right before the first byte of the request; what it
            raises comes out as it is, and nothing was sent then.
        :raises Refused: when the API refused it; `BadCredentials` when it did not accept the keys.
        :raises Throttled: when it was refused for its rate.
        :raises Unreachable: when no byte of the request left.
        :raises InDoubt: when the text may have been sent.
        """
        left_at: list[datetime] = []

        def leave() -> None:
            before_write()
            left_at.append(datetime.now(timezone.utc))

        text = {"action": "sms.send_message", "to": to, "from": from_, "message": message}
        try:
            return self._judged(self._call(text, leave))
        except NotLeft as failure:
            error: DialogTechError = Unreachable(
                f"The text was not sent: DialogTech could not be reached ({failure}). It may be sent again."
            )
        except (NoReply, NotDocumented) as failure:
            error = InDoubt(
                f"The text may have been sent: its request left, and then {failure}.",
                since=(left_at and left_at[0]) or None,
            )
        # Outside the except block, so that nothing of what went on below hangs on to it.
        raise error

    def get_numbers(self) -> tuple[str, ...]:
        """Ask for the account's SMS-enabled numbers, in digits. That sends nothing and proves the keys.

        The names of the reply's elements are documented nowhere: what looks like a number is taken for one.

        :raises Refused: when the API refused it; `BadCredentials` when it did not accept the keys.
        :raises Throttled: when it was refused for its rate.
        :raises Unreachable: when DialogTech could not be reached.
        :raises DialogTechError: when it did not answer as documented.
        """
        try:
            return self._judged(self._call({"action": "sms.get_numbers"})).numbers
        except NotLeft as failure:
            error: DialogTechError = Unreachable(f"DialogTech could not be reached ({failure}).")
        except (NoReply, NotDocumented) as failure:
            error = DialogTechError(f"DialogTech did not answer as documented: {failure}.")
        raise error

    def abort(self) -> None:
        """Cut every request that is out, from another thread. Their texts are in doubt then."""
        for exchange in tuple(self._under_way):
            exchange.shut("it was stopped")

    def _call(self, parameters: Mapping[str, str], before_write: Callable[[], None] = lambda: None) -> RawReply:
        place = "params" if self._http_method == "GET" else "data"
        request = requests.Request(
            self._http_method, self._url, headers=_HEADERS, **{place: {**self._keys, **parameters}}
        )
        exchange = Exchange(self.timeout, before_write)
        self._under_way.add(exchange)
        try:
            return carry(exchange, request)
        finally:
            self._under_way.discard(exchange)

    def _judged(self, raw: RawReply) -> ApiReply:
        """Tell the outcomes apart by the status first, then by the reply's words."""
        reply = self._shown(raw)
        result = reply.result if reply is not None else None
        if raw.status == HTTPStatus.OK and reply is not None and result == "success":
            return _counted(reply)
        if (raw.status == HTTPStatus.OK and result == "failed") or (
            # A time-out of the server's own may strike after it took the text, and a success contradicts the status.
            HTTPStatus.BAD_REQUEST <= raw.status < HTTPStatus.INTERNAL_SERVER_ERROR
            and raw.status != HTTPStatus.REQUEST_TIMEOUT
            and result != "success"
        ):
            raise self._refusal(raw, reply.description if reply is not None else "")
        raise NotDocumented(_what_came(raw))

    def _shown(self, raw: RawReply) -> ApiReply | None:
        """Return what people may see of the documented reply; None when it is another."""
        try:
            reply = parse_reply(raw.body)
        except NotDocumented:
            return None
        keys = tuple(self._keys.values())
        description = " ".join(mask_numbers(scrub(reply.description, *keys)).split())
        return replace(reply, description=description[:_LONGEST_DESCRIPTION], xml=scrub(reply.xml, *keys))

    def _refusal(self, raw: RawReply, description: str) -> Refused | Throttled:
        because = f": {description.rstrip('.')}" if description else f" with HTTP status {raw.status}"
        keys_refused = raw.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        too_fast = raw.status == HTTPStatus.TOO_MANY_REQUESTS
        if too_fast or (not keys_refused and self._throttled.search(description)):
            return Throttled(
                f"The text was not sent: DialogTech refused it for its rate{because}. It may be sent again later.",
                retry_after=_seconds(raw.headers.get("Retry-After")),
            )
        if keys_refused or BAD_CREDENTIALS.search(description):
            return BadCredentials(
                f"The text was not sent: DialogTech did not accept the access keys{because}. "
                "Check the connection's login and password.",
                description=description,
            )
        advice = "Correct what it names" if description else "Check the connection's host"
        return Refused(
            f"The text was not sent: DialogTech refused it{because}. {advice}, then send it again.",
            description=description,
        )


def _counted(reply: ApiReply) -> ApiReply:
    # The number in brackets counts what was done; `[0]` would be a success at sending nothing.
    if re.match(r"\[0+\]", reply.description):
        raise NotDocumented("its reply was a success that counts no text")
    return reply


def _what_came(raw: RawReply) -> str:
    if raw.status != HTTPStatus.OK:
        return f"HTTP status {raw.status} came"
    return "what came was not the documented XML" if raw.body else "an empty reply came"


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        known = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidConnection("The host must be the API's URL without a user, a query or a fragment, or empty.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(parts)):
        raise InvalidConnection(
            "The host must be an https URL: the keys travel with each call. http is for this machine itself."
        )
    return url


def _is_this_machine(parts: SplitResult) -> bool:
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


def _any_of(words: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, words)), re.IGNORECASE)


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After (RFC 9110, 10.2.3): seconds or a date; nonsense is no advice, and a long time is cut."""
    text = (retry_after or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), _LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        return None
    left = (moment - datetime.now(timezone.utc)).total_seconds()
    return min(max(left, 0.0), _LONGEST_RETRY_AFTER)
