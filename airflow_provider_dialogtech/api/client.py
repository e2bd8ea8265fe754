"""The DialogTech API: one call, one reply or one named error."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlsplit

from airflow_provider_dialogtech import __version__
from airflow_provider_dialogtech.api.connection import (
    Connection,
    NoReply,
    NotLeft,
    RawReply,
    checked_url,
    is_refusal,
)
from airflow_provider_dialogtech.api.reply import ApiReply, NotDocumented, parse_reply
from airflow_provider_dialogtech.api.wording import BAD_CREDENTIALS, THROTTLED, has_phrase, says
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    InvalidConnection,
    Refused,
    Throttled,
    Unreachable,
)
from airflow_provider_dialogtech.masking import clean, decode, mask_numbers, scrub, scrub_quotes
from airflow_provider_dialogtech.opaque import Private

DEFAULT_URL = "https://secure.dialogtech.com/ibp_api.php"
LONGEST_TIMEOUT = 3600.0

_HEADERS = {
    "User-Agent": f"airflow-provider-dialogtech/{__version__}",
    "Accept": "application/xml, text/xml",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_LONGEST_DESCRIPTION = 200
_LONGEST_RETRY_AFTER = 3600.0
_COUNTS_NOTHING = re.compile(
    r"^\W{0,9}(?:0+|no|none|nothing)\b(?!\.\d)|\[\W{0,9}0+\W{0,9}\]|\b(?:sent|messages?|texts?)\W{1,9}0+\b(?!\.\d)",
    re.IGNORECASE,
)

T = TypeVar("T")


class DialogTechClient:
    """Calls the DialogTech API. One client may be used by several threads.

    :param access_key: the account's access key.
    :param secret_access_key: its secret access key.
    :param url: the API's URL: https, or http to this machine itself.
    :param http_method: `GET`, as the vendor's page has it, or `POST` with the same as a form.
    :param timeout: for how many seconds connecting may take, all addresses together, and then the request with its
        reply. Only the system's resolver knows no bound: what it takes to find a name's addresses comes on top.
    :param throttled_words: words or phrases that tell a refusal for the rate; by default the known ones.
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
        self._keys = Private({"access_key": access_key, "secret_access_key": secret_access_key})
        given = Private(url)
        # From here on something may be raised, and a traceback may show what the names of this function mean.
        del access_key, secret_access_key, url
        if not all(self._keys.reveal().values()):
            raise InvalidConnection("The login (access key) or the password (secret access key) is missing.")
        if http_method not in {"GET", "POST"}:
            raise InvalidConnection("http_method must be GET or POST.")
        if not 0 < timeout <= LONGEST_TIMEOUT:
            raise InvalidConnection(
                f"timeout must be a number of seconds greater than 0 and at most {LONGEST_TIMEOUT:g}."
            )
        if isinstance(throttled_words, str) or not all(
            isinstance(word, str) and word.strip() for word in throttled_words
        ):
            raise InvalidConnection("throttled_words must be a list of words or phrases.")
        called = checked_url(given)
        if called is None:
            raise InvalidConnection("The host must be the API's URL without a user, a query or a fragment, or empty.")
        is_safe = called.startswith("https:") or (called.startswith("http:") and _is_this_machine(called))
        self._url = called if is_safe else ""
        del called
        if not is_safe:
            raise InvalidConnection(
                "The host must be an https URL: the keys travel with each call. http is for this machine itself."
            )
        self.timeout = timeout
        self._http_method = http_method
        self._throttled_words = tuple(throttled_words)
        self._open: set[Connection] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {urlsplit(getattr(self, '_url', '')).hostname}>"

    @property
    def host(self) -> str:
        """The name of the API's host."""
        return urlsplit(self._url).hostname or ""

    def connect(self) -> Line:
        """Open a connection for one text. It may stand idle for a while: nothing is written on it yet.

        :raises Unreachable: when that fails, or takes longer than `timeout`.
        """
        try:
            return _discreetly(self._line)
        except NotLeft as failure:
            problem = _unreachable(failure)
        # Outside the except block, so that nothing of what went on below hangs on to it.
        raise problem

    def send(self, *, to: str, from_: str, message: str) -> ApiReply:
        """Connect and send one text. A second call is a second text: the API knows no idempotency.

        :param to: the recipient's number, in digits.
        :param from_: the number it leaves from, in digits.
        :param message: what it says; it arrives letter for letter.
        :raises Unreachable: when no byte of the request left.
        :raises DialogTechError: what `Line.send` raises.
        """
        text = _text(to, from_, message)
        del to, from_, message
        with self.connect() as line:
            return line._send(text)

    def get_numbers(self) -> tuple[str, ...]:
        """Ask for the account's SMS-enabled numbers, in digits. That sends nothing and proves the keys.

        The names of the reply's elements are documented nowhere: what looks like a number is taken for one.

        :raises Refused: when the API refused it; `BadCredentials` when it did not accept the keys.
        :raises Throttled: when it was refused for its rate.
        :raises Unreachable: when DialogTech could not be reached.
        :raises DialogTechError: when it did not answer as documented.
        """
        try:
            with _discreetly(self._line) as line:
                outcome = _discreetly(lambda: line._outcome(Private({"action": "sms.get_numbers"})))
        except NotLeft as failure:
            outcome = Unreachable(f"DialogTech could not be reached ({failure}).")
        except (NoReply, NotDocumented) as failure:
            outcome = DialogTechError(f"DialogTech did not answer as documented: {failure}.")
        if isinstance(outcome, DialogTechError):
            raise outcome
        return outcome.numbers

    def abort(self) -> None:
        """Cut every line that is out or being connected, from another thread. Texts that are out are in doubt then."""
        for connection in tuple(self._open):
            connection.cut("it was stopped")

    def _line(self) -> Line:
        connection = Connection(self._url, self.timeout)
        self._open.add(connection)
        try:
            connection.open()
        except BaseException:
            self._open.discard(connection)
            raise
        return Line(self, connection)


class Line:
    """A connection to the API that stands, for one text. Close it, or use it in a `with` statement.

    :param client: whose keys it uses.
    :param connection: the connection.
    """

    def __init__(self, client: DialogTechClient, connection: Connection) -> None:
        self._client = client
        self._connection = connection

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, *, to: str, from_: str, message: str) -> ApiReply:
        """Send one text: one request, one reply or one named error. It never connects anew, and never sends twice.

        :param to: the recipient's number, in digits.
        :param from_: the number it leaves from, in digits.
        :param message: what it says; it arrives letter for letter.
        :raises Refused: when the API refused it; `BadCredentials` when it did not accept the keys.
        :raises Throttled: when it was refused for its rate.
        :raises Unreachable: when no byte of the request left.
        :raises InDoubt: when the text may have been sent.
        """
        text = _text(to, from_, message)
        # A traceback may show what the names of a function mean.
        del to, from_, message
        return self._send(text)

    def close(self) -> None:
        """Close it, from any thread. A text that is out is in doubt then. Closing twice does nothing more."""
        self._client._open.discard(self._connection)
        self._connection.close()

    def _send(self, text: Private[Mapping[str, str]]) -> ApiReply:
        try:
            outcome = _discreetly(lambda: self._outcome(text))
        except NotLeft as failure:
            outcome = _unreachable(failure)
        except (NoReply, NotDocumented) as failure:
            outcome = InDoubt(
                f"The text may have been sent: its request left, and then {failure}.",
                since=self._connection.left_at,
            )
        finally:
            self.close()
        if isinstance(outcome, DialogTechError):
            raise outcome
        return outcome

    def _outcome(self, parameters: Private[Mapping[str, str]]) -> ApiReply | DialogTechError:
        client = self._client
        both = Private({**client._keys.reveal(), **parameters.reveal()})
        raw = self._connection.carry(client._http_method, _HEADERS, both)
        return _judged(raw, client._keys, parameters, client._throttled_words)


def _text(to: str, from_: str, message: str) -> Private[Mapping[str, str]]:
    return Private({"action": "sms.send_message", "to": to, "from": from_, "message": message})


def _unreachable(failure: NotLeft) -> Unreachable:
    return Unreachable(f"The text was not sent: DialogTech could not be reached ({failure}). Sending it again is safe.")


def _discreetly(step: Callable[[], T]) -> T:
    """Take a step. What it raises comes out as it is, but without its frames and what led to it: they show the keys."""
    try:
        return step()
    except BaseException as error:
        raised = error
    raised.__cause__ = raised.__context__ = None
    raise raised.with_traceback(None)


def _judged(
    raw: RawReply, keys: Private[dict[str, str]], sent: Private[Mapping[str, str]], throttled_words: Sequence[str]
) -> ApiReply | Refused | Throttled:
    """Tell the outcomes apart by the status first, then by the reply's words.

    :raises NotDocumented: when the reply tells nothing for certain.
    """
    reply = _shown(raw, keys, sent)
    result = reply.result if reply is not None else None
    if raw.status == HTTPStatus.OK and reply is not None and result == "success":
        if "message" not in sent.reveal():
            return reply
        if _counts_nothing(reply.description):
            raise NotDocumented("its reply was a success that counts no text")
        return replace(reply, numbers=())
    # A success contradicts the status of a refusal.
    if (raw.status == HTTPStatus.OK and result == "failed") or (is_refusal(raw.status) and result != "success"):
        return _refusal(raw, reply.description if reply is not None else "", throttled_words)
    raise NotDocumented(_what_came(raw))


def _shown(raw: RawReply, keys: Private[dict[str, str]], sent: Private[Mapping[str, str]]) -> ApiReply | None:
    """Return what people may see of the documented reply; None when it is another."""
    try:
        reply = parse_reply(raw.body)
    except NotDocumented:
        return None
    secrets = tuple(map(clean, keys.reveal().values()))
    text = {name: clean(value) for name, value in sent.reveal().items() if name != "action"}
    words = clean(decode(clean(reply.description)))
    if re.fullmatch(r"\[[0-9]{1,9}\] [A-Za-z ]{1,60}", words):
        return replace(reply, description=words)
    # The text before the numbers: in hex it holds digits enough for some, and would not be known again without them.
    words = scrub_quotes(scrub(words, *secrets), text.get("message", ""))
    words = scrub(mask_numbers(words), text.get("to", ""), text.get("from", ""))
    # Cut at last: half a key would not be known again.
    return replace(reply, description=" ".join(words[:_LONGEST_DESCRIPTION].split()))


def _refusal(raw: RawReply, description: str, throttled_words: Sequence[str]) -> Refused | Throttled:
    because = f": {description.rstrip('.')}" if description else f" with HTTP status {raw.status}"
    keys_refused = raw.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    too_fast = raw.status == HTTPStatus.TOO_MANY_REQUESTS
    throttled = has_phrase(description, throttled_words) if throttled_words else says(description, THROTTLED)
    if too_fast or (throttled and not keys_refused):
        return Throttled(
            f"The text was not sent: DialogTech refused it for its rate{because}. It may be sent again later.",
            retry_after=_seconds(raw.retry_after),
        )
    if keys_refused or says(description, BAD_CREDENTIALS):
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


def _counts_nothing(description: str) -> bool:
    # The number in brackets counts what was done: `[0]` would be a success at sending nothing.
    words = re.sub(r"\d", lambda found: str(int(found.group())), description)
    return bool(_COUNTS_NOTHING.search(words))


def _what_came(raw: RawReply) -> str:
    if raw.status != HTTPStatus.OK:
        return f"HTTP status {raw.status} came"
    return "what came was not the documented XML" if raw.body else "an empty reply came"


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _seconds(retry_after: str) -> float | None:
    """Read a Retry-After (RFC 9110, 10.2.3): seconds or a date; nonsense is no advice, and a long time is cut."""
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), _LONGEST_RETRY_AFTER)
    try:
        left = (parsedate_to_datetime(text) - datetime.now(timezone.utc)).total_seconds()
    # It computes with whatever numbers stand there: years of 20 digits, dates without a zone.
    except Exception:
        return None
    return min(max(left, 0.0), _LONGEST_RETRY_AFTER)
