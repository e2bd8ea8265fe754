"""What the vendor does with a call, as its page says. How it words a refusal is ours: the page says nothing of it."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Literal
from xml.sax.saxutils import escape

import smsutil

from airflow_provider_dialogtech.sandbox.faults import BEFORE, Fault
from airflow_provider_dialogtech.sandbox.limits import Account

LONGEST_MESSAGE = 256
REMEMBERED = 100_000

Outcome = Literal["accepted", "refused", "throttled", "bad_credentials", "lost"]


@dataclass
class Arrival:
    """A call that arrived. Its keys are not kept.

    :param at: when it arrived, in seconds since 1970.
    :param monotonic: the same on a clock that nobody can set; the limits go by it.
    """

    id: int
    at: float
    monotonic: float
    action: str
    method: str
    to: str
    from_: str
    message: str
    outcome: Outcome = "accepted"
    fault: str | None = None
    description: str = ""
    encoding: str = ""
    segments: int = 0

    def as_json(self) -> dict[str, object]:
        return {name.rstrip("_"): value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Reply:
    """What is answered.

    :param body: the XML.
    :param status: the HTTP status.
    :param headers: further HTTP headers.
    """

    body: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Vendor:
    """The accounts, their windows, and what arrived."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self.accounts = {account.access_key: account for account in accounts}
        self.arrivals: deque[Arrival] = deque(maxlen=REMEMBERED)
        self.newest = 0  # the id of the newest arrival

    def forget(self) -> None:
        """Forget all arrivals and empty all windows."""
        self.arrivals.clear()
        self.newest = 0
        for account in self.accounts.values():
            account.forget()

    def receive(
        self, parameters: Mapping[str, str], method: str, at: float, monotonic: float, fault: Fault | None
    ) -> Reply:
        """Judge a call that arrived, and write it down."""
        arrival = self._note(parameters, method, at, monotonic, fault)
        account = self._account_of(parameters)
        if account is None:
            return _failed(arrival, "bad_credentials", "Invalid access_key or secret_access_key")
        if fault is not None and fault.fault in BEFORE:
            return _refused_by_fault(arrival, fault)
        if arrival.action == "sms.get_numbers":
            return _numbers(account)
        if arrival.action == "sms.get_messages":
            return self._messages(account)
        return self._accept_or_refuse(arrival, account)

    def _accept_or_refuse(self, arrival: Arrival, account: Account) -> Reply:
        problem = _problem(arrival, account)
        if problem:
            return _failed(arrival, "refused", problem)
        overflow = account.overflows(arrival.from_, arrival.monotonic)
        if overflow:
            return _failed(arrival, "throttled", overflow)
        account.note(arrival.from_, arrival.monotonic)
        arrival.description = f"[{0 if arrival.fault == 'zero_count' else 1}] Message Sent"
        return Reply(_xml("success", arrival.description))

    def _note(
        self, parameters: Mapping[str, str], method: str, at: float, monotonic: float, fault: Fault | None
    ) -> Arrival:
        self.newest += 1
        message = parameters.get("message", "")
        arrival = Arrival(
            self.newest,
            at,
            monotonic,
            parameters.get("action", ""),
            method,
            parameters.get("to", ""),
            parameters.get("from", ""),
            message,
            fault=fault.fault if fault is not None else None,
        )
        if message:
            split = smsutil.split(message)
            arrival.encoding = "GSM-7" if split.encoding == "gsm0338" else "UCS-2"
            arrival.segments = len(split.parts)
        self.arrivals.append(arrival)
        return arrival

    def _account_of(self, parameters: Mapping[str, str]) -> Account | None:
        account = self.accounts.get(parameters.get("access_key", ""))
        given = parameters.get("secret_access_key", "")
        if account is None or not hmac.compare_digest(account.secret_access_key.encode(), given.encode()):
            return None
        return account

    def _messages(self, account: Account) -> Reply:
        rows = "".join(
            f" <message>\n  <msg_id>{arrival.id}</msg_id>\n  <from>{arrival.from_}</from>\n  <to>{arrival.to}</to>\n"
            f"  <date>{datetime.fromtimestamp(arrival.at, timezone.utc):%Y-%m-%d %H:%M:%S}</date>\n"
            f"  <body>{escape(arrival.message)}</body>\n </message>\n"
            for arrival in self.arrivals
            if arrival.outcome == "accepted" and arrival.from_ in account.numbers and arrival.to
        )
        return Reply(_xml("success", "Messages", f"<data>\n{rows}</data>"))


def _problem(arrival: Arrival, account: Account) -> str | None:
    """Tell what is wrong with a text, if anything."""
    if arrival.action != "sms.send_message":
        return "Invalid action"
    if not (arrival.to.isascii() and arrival.to.isdigit()):
        return "Invalid parameter: to must be an unformatted phone number"
    if arrival.from_ not in account.numbers:
        return "Invalid parameter: from is not an SMS enabled number of this account"
    if not arrival.message:
        return "Missing parameter: message"
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
    return Reply("")


def _failed(
    arrival: Arrival, outcome: Outcome, description: str, status: int = 200, headers: dict[str, str] | None = None
) -> Reply:
    arrival.outcome = outcome
    arrival.description = description
    return Reply(_xml("failed", description), status, headers or {})


def _numbers(account: Account) -> Reply:
    rows = "".join(f" <number>{number}</number>\n" for number in account.numbers)
    return Reply(_xml("success", f"[{len(account.numbers)}] Numbers", f"<data>\n{rows}</data>"))


def _xml(result: str, description: str, data: str = "") -> str:
    """Write a reply, byte for byte like the vendor's sample."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<!DOCTYPE response [\n"
        "<!ELEMENT response (result,result_description)>\n"
        "<!ELEMENT result (#PCDATA)>\n"
        "<!ELEMENT result_description (#PCDATA)>\n"
        "]>\n"
        f"<response>\n <result>{result}</result>\n <result_description>{escape(description)}</result_description>\n"
        f"{data}</response>"
    )
