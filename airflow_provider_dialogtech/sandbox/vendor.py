"""Judges calls as the vendor does, by sliding windows at the time of arrival, and writes the replies."""

from __future__ import annotations

import hmac
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice, takewhile
from typing import Literal, TypeAlias
from xml.sax.saxutils import escape, quoteattr

import smsutil

from airflow_provider_dialogtech.sandbox.faults import BEFORE, Fault, Faults


@dataclass(frozen=True)
class Limits:
    """The rate limits of an account; the defaults are the vendor's."""

    account_per_second: int = 4
    number_per_second: int = 1
    number_per_minute: int = 40


class SlidingWindow:
    """Allows at most `messages` in any period of `seconds`. Only accepted messages count, throttled ones do not."""

    def __init__(self, messages: int, seconds: float) -> None:
        self.messages = messages
        self._seconds = seconds
        self._times: deque[float] = deque()

    def used(self, now: float) -> int:
        """Return the messages in the window at this time of the monotonic clock."""
        while self._times and self._times[0] <= now - self._seconds:
            self._times.popleft()
        return len(self._times)

    def is_full(self, now: float) -> bool:
        return self.used(now) >= self.messages

    def note(self, now: float) -> None:
        self._times.append(now)


@dataclass
class Account:
    """An account of the sandbox, with its windows."""

    access_key: str
    secret_access_key: str = field(repr=False)
    numbers: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Empty the windows."""
        limits = self.limits
        self.per_second = SlidingWindow(limits.account_per_second, 1)
        self.of_number: defaultdict[str, tuple[SlidingWindow, SlidingWindow]] = defaultdict(
            lambda: (SlidingWindow(limits.number_per_second, 1), SlidingWindow(limits.number_per_minute, 60))
        )

    def overflows(self, number: str, now: float) -> str | None:
        """Return the limit that one more message would exceed, if any."""
        second, minute = self.of_number[number]
        if minute.is_full(now):
            return f"Rate limit: {minute.messages} sms per number per 60 seconds"
        if second.is_full(now):
            return f"Rate limit: {second.messages} sms per number per second"
        if self.per_second.is_full(now):
            return f"Rate limit: {self.per_second.messages} sms per account per second"
        return None

    def note(self, number: str, now: float) -> None:
        """Count an accepted message."""
        for window in (self.per_second, *self.of_number[number]):
            window.note(now)


LONGEST_MESSAGE = 256
REMEMBERED = 100_000
KEPT = 1000
"""The characters kept of each value of a call: enough to debug it."""

Outcome = Literal["accepted", "refused", "throttled", "bad_credentials", "lost"]


@dataclass
class Arrival:
    """A call that arrived, without its keys.

    :param at: when it arrived, in seconds since 1970.
    :param monotonic: the same time on the monotonic clock, by which the limits are judged.
    :param account: the position of its account, from 1; None for unknown keys.
    :param outcome: its outcome; `lost` is a message that a fault discarded.
    """

    id: int
    at: float
    monotonic: float
    action: str
    method: str
    to: str
    from_: str
    message: str
    account: int | None = None
    outcome: Outcome = "accepted"
    fault: str | None = None
    description: str = ""
    encoding: str = ""
    segments: int = 0

    def as_json(self) -> dict[str, object]:
        return {name.rstrip("_"): value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Reply:
    """The answer to a call.

    :param fault: the fault that the answer shows, if any.
    """

    body: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None


class Vendor:
    """The accounts with their windows, the requested faults, and the arrivals.

    :param listing: the shape of a list of messages, one of `SHAPES`.
    """

    def __init__(self, accounts: Iterable[Account], listing: str = "nested") -> None:
        self._row = SHAPES[listing]
        self.accounts = {account.access_key: account for account in accounts}
        self.faults = Faults()
        self.newest = 0  # the id of the newest arrival
        self._arrivals: deque[Arrival] = deque(maxlen=REMEMBERED)

    @property
    def oldest(self) -> int:
        """The id of the oldest remembered arrival; without one, the id of the next arrival."""
        return self.newest - len(self._arrivals) + 1

    def arrivals_after(self, id_: int, most: int) -> list[Arrival]:
        """Return the newest arrivals after this id, at most `most`, in order."""
        newer = takewhile(lambda arrival: arrival.id > id_, reversed(self._arrivals))
        return list(islice(newer, max(most, 0)))[::-1]

    def forget(self) -> None:
        """Forget all arrivals and empty all windows."""
        self._arrivals.clear()
        for account in self.accounts.values():
            account.forget()

    def receive(self, parameters: Mapping[str, str], method: str, at: float, monotonic: float) -> Reply:
        """Record and judge a call that arrived."""
        arrival = self._note(parameters, method, at, monotonic)
        account = self._account_of(parameters)
        if account is None:
            return _failed(arrival, "bad_credentials", "Invalid access_key or secret_access_key")
        arrival.account = list(self.accounts).index(account.access_key) + 1
        if arrival.action == "sms.send_message":
            return self._send(arrival, account)
        if arrival.action == "sms.get_numbers":
            return _numbers(account)
        if arrival.action == "sms.get_messages":
            return self._messages(arrival, parameters)
        return _failed(arrival, "refused", "Invalid action" if arrival.action else "Missing parameter: action")

    def _send(self, arrival: Arrival, account: Account) -> Reply:
        fault = self.faults.concerning(arrival.to, arrival.from_)
        if fault is not None and fault.fault in BEFORE:
            self._apply(fault, arrival)
            return _refused_by_fault(arrival, fault)
        problem = _problem(arrival, account)
        if problem:
            return _failed(arrival, "refused", problem)
        overflow = account.overflows(arrival.from_, arrival.monotonic)
        if overflow:
            return _failed(arrival, "throttled", overflow)
        account.note(arrival.from_, arrival.monotonic)
        if fault is not None:
            self._apply(fault, arrival)
        arrival.description = f"[{0 if arrival.fault == 'zero_count' else 1}] Message Sent"
        return Reply(reply_xml("success", arrival.description), fault=fault)

    def _apply(self, fault: Fault, arrival: Arrival) -> None:
        self.faults.use(fault)
        arrival.fault = fault.fault

    def _note(self, parameters: Mapping[str, str], method: str, at: float, monotonic: float) -> Arrival:
        self.newest += 1
        action, to, from_, message = (parameters.get(name, "")[:KEPT] for name in ("action", "to", "from", "message"))
        arrival = Arrival(self.newest, at, monotonic, action, method, to, from_, message)
        if message:
            split = smsutil.split(message)
            arrival.encoding = "GSM-7" if split.encoding == "gsm0338" else "UCS-2"
            arrival.segments = len(split.parts)
        self._arrivals.append(arrival)
        return arrival

    def _account_of(self, parameters: Mapping[str, str]) -> Account | None:
        account = self.accounts.get(parameters.get("access_key", ""))
        given = parameters.get("secret_access_key", "")
        if account is None or not hmac.compare_digest(account.secret_access_key.encode(), given.encode()):
            return None
        return account

    def _messages(self, request: Arrival, parameters: Mapping[str, str]) -> Reply:
        first, last = parameters.get("start_date") or "00010101", parameters.get("end_date") or "99991231"
        if not (_is_day(first) and _is_day(last)):
            return _failed(request, "refused", "Invalid parameter: start_date and end_date must be YYYYMMDD")
        number = parameters.get("number", "")
        rows = [
            self._row(_listed(arrival))
            for arrival in self._arrivals
            if arrival.action == "sms.send_message"
            and arrival.outcome == "accepted"
            and arrival.account == request.account
            and number in {"", arrival.from_, arrival.to}
            and first <= f"{_time_of(arrival):%Y%m%d}" <= last
        ]
        request.description = f"[{len(rows)}] Messages"
        return Reply(reply_xml("success", request.description, rows))


def _problem(arrival: Arrival, account: Account) -> str | None:
    """Return the problem with a message, if any."""
    given = {"to": arrival.to, "from": arrival.from_, "message": arrival.message}
    missing = [name for name, value in given.items() if not value]
    if missing:
        return f"Missing parameter: {missing[0]}"
    for name in ("to", "from"):
        if not (given[name].isascii() and given[name].isdigit()):
            return f"Invalid parameter: {name} must be an unformatted phone number"
    if arrival.from_ not in account.numbers:
        return "Invalid parameter: from is not an SMS enabled number of this account"
    if len(arrival.message) > LONGEST_MESSAGE:
        return f"Invalid parameter: message exceeds {LONGEST_MESSAGE} characters"
    return None


def _refused_by_fault(arrival: Arrival, fault: Fault) -> Reply:
    if fault.fault == "refused":
        return _failed(arrival, "refused", fault.description or "Invalid destination number", fault.status or 200)
    if fault.fault == "throttled":
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        words = fault.description or "Rate limit reached"
        return _failed(arrival, "throttled", words, fault.status or 200, headers)
    arrival.outcome = "lost"
    return Reply("", fault=fault)


def _failed(
    arrival: Arrival, outcome: Outcome, description: str, status: int = 200, headers: dict[str, str] | None = None
) -> Reply:
    arrival.outcome = outcome
    arrival.description = description[:KEPT]
    return Reply(reply_xml("failed", description), status, headers or {})


def _numbers(account: Account) -> Reply:
    rows = [_element_xml("number", _text_xml(number)) for number in account.numbers]
    return Reply(reply_xml("success", f"[{len(rows)}] Numbers", rows))


def _listed(arrival: Arrival) -> dict[str, str]:
    return {
        "msg_id": str(arrival.id),
        "from": arrival.from_,
        "to": arrival.to,
        "date": f"{_time_of(arrival):%Y-%m-%d %H:%M:%S}",
        "body": arrival.message,
    }


def _is_day(value: str) -> bool:
    return len(value) == len("YYYYMMDD") and value.isascii() and value.isdigit()


def _time_of(arrival: Arrival) -> datetime:
    return datetime.fromtimestamp(arrival.at, timezone.utc)


# The replies, byte for byte as documented, and lists of messages, whose elements are undocumented.

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def reply_xml(result: str, description: str, rows: Sequence[str] | None = None) -> str:
    """Write a reply.

    :param rows: the elements of `<data>`; None for a reply without it.
    """
    lines = "".join(f"  {row}\n" for row in rows or ())
    data = "" if rows is None else f" <data>\n{lines} </data>\n"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<!DOCTYPE response [\n"
        "<!ELEMENT response (result,result_description)>\n"
        "<!ELEMENT result (#PCDATA)>\n"
        "<!ELEMENT result_description (#PCDATA)>\n"
        "]>\n"
        "<response>\n"
        f" <result>{result}</result>\n"
        f" <result_description>{_text_xml(description)}</result_description>\n"
        f"{data}"
        "</response>"
    )


def _element_xml(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"


def _text_xml(text: str) -> str:
    return escape(_visible(text))


def _visible(text: str) -> str:
    """Replace the characters of a text that XML cannot represent."""
    return _NOT_XML.sub("\ufffd", text)


Message: TypeAlias = Mapping[str, str]
"""A listed message: msg_id, from, to, date and body."""

_OTHER_NAMES = {"msg_id": "id", "from": "sender", "to": "recipient", "date": "sent", "body": "content"}


def _nested(message: Message) -> str:
    return _element_xml("message", _siblings(message))


def _attributes(message: Message) -> str:
    return f"<message {' '.join(f'{name}={quoteattr(_visible(value))}' for name, value in message.items())}/>"


def _siblings(message: Message) -> str:
    return "".join(_element_xml(name, _text_xml(value)) for name, value in message.items())


def _flat(message: Message) -> str:
    return _text_xml("\t".join(" ".join(_visible(value).splitlines()) for value in message.values()))


def _other_names(message: Message) -> str:
    """Write a message under other names, with the country code before its numbers."""
    named = {_OTHER_NAMES[name]: f"1{value}" if name in {"from", "to"} else value for name, value in message.items()}
    return _element_xml("sms", _siblings(named))


SHAPES: Mapping[str, Callable[[Message], str]] = {
    "nested": _nested,
    "attributes": _attributes,
    "siblings": _siblings,
    "flat": _flat,
    "other-names": _other_names,
}
