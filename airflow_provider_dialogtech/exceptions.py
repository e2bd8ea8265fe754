"""Errors named by what they mean for the message: it was certainly not sent, or it may have been.

    DialogTechError                            fields: outcome, reason, advice; `str()` is the sentence people read
    ├─ NotSent
    │  ├─ InvalidMessage, InvalidConnection    (also ValueError)
    │  ├─ Refused
    │  │  └─ BadCredentials
    │  ├─ Throttled
    │  ├─ Unreachable
    │  ├─ WaitTooLong
    │  └─ JournalUnavailable
    └─ InDoubt

No other error leaves the package. The sentences are shown in task logs, in the UI and in alerts, so they never carry a
URL, a key or a full phone number. Whoever needs a part of one reads its field.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

__all__ = [
    "BadCredentials",
    "DialogTechError",
    "InDoubt",
    "InvalidConnection",
    "InvalidMessage",
    "JournalUnavailable",
    "NotSent",
    "Refused",
    "Throttled",
    "Unreachable",
    "WaitTooLong",
]

Outcome = Literal["not sent", "in doubt"]


def how_to_settle(sought: str, message: str, it: str) -> str:
    """Return what to do about messages in doubt.

    :param sought: what to look for.
    :param message: what is in doubt: one message, or several.
    :param it: the same, where it is named again.
    """
    return (
        f"Look for {sought} in DialogTech's message log, and settle {message}: `python -m airflow_provider_dialogtech "
        f"messages list` shows {it}, `messages resolve` settles {it}. Or, to send {it} again in any case, set "
        'in_doubt="resend".'
    )


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun, as sentences need it: `1 segment`, `2 segments`.

    :param count: how many there are.
    :param one: the noun for one of them.
    :param many: the noun for none or several; by default `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


class DialogTechError(Exception):
    """A message was not sent, or it may have been sent. Catch this class to catch all; only its subclasses are raised.

    :param reason: why, without a full stop; by default that of the class.
    :param advice: what to do now, in whole sentences; by default that of the class.
    :param to: the recipient's number, shortened: `…7777`.
    """

    outcome: ClassVar[Outcome] = "in doubt"
    default_reason: ClassVar[str] = "its outcome is unknown"
    default_advice: ClassVar[str] = "Look for it in DialogTech's message log before you send it again."
    before_any = False

    def __init__(self, reason: str = "", *, advice: str = "", to: str = "") -> None:
        self.reason = reason or self.default_reason
        self.advice = advice or self.default_advice
        self.to = to
        super().__init__(self.reason)

    def __str__(self) -> str:
        message = f"The message to {self.to}" if self.to else "The message"
        if self.outcome == "in doubt":
            happened = f"{message} may have been sent"
        else:
            happened = "Nothing was sent" if self.before_any else f"{message} was not sent"
        return f"{happened}: {self.reason}. {self.advice}"


class NotSent(DialogTechError):
    """The message was certainly not sent.

    :param reason: why, without a full stop.
    :param advice: what to do now.
    :param to: the recipient's number, shortened.
    :param before_any: whether this ended a whole list before its first message was sent.
    """

    outcome = "not sent"
    default_reason = "it was stopped before it left"
    default_advice = "Sending it again is safe."

    def __init__(self, reason: str = "", *, advice: str = "", to: str = "", before_any: bool = False) -> None:
        super().__init__(reason, advice=advice, to=to)
        self.before_any = before_any


class InvalidMessage(NotSent, ValueError):
    """An argument or a message is wrong, so it was not sent."""

    default_reason = "one of its arguments is wrong"
    default_advice = "Correct it."


class InvalidConnection(NotSent, ValueError):
    """A setting of the connection, or in `[dialogtech]`, is missing or wrong."""

    default_reason = "a setting of the DialogTech connection is wrong"
    default_advice = "Correct the connection."


class Refused(NotSent):
    """DialogTech refused the message.

    :param reason: that it did, and why.
    :param advice: what to do now.
    :param to: the recipient's number, shortened.
    :param description: the reason as the API gave it, scrubbed of keys and phone numbers.
    """

    default_reason = "DialogTech refused it"
    default_advice = "Correct what it names."

    def __init__(self, reason: str = "", *, advice: str = "", to: str = "", description: str = "") -> None:
        super().__init__(reason, advice=advice, to=to)
        self.description = description


class BadCredentials(Refused):
    """DialogTech did not accept the connection's access keys."""

    default_reason = "DialogTech did not accept the access keys"
    default_advice = "Check the access key and the secret access key in the connection, and correct them."


class Throttled(NotSent):
    """DialogTech refused the message because too many were sent in a short time.

    :param reason: that it did, and why.
    :param advice: what to do now.
    :param to: the recipient's number, shortened.
    :param retry_after: how many seconds the API asked to wait, if it said so.
    """

    default_reason = "DialogTech throttled it, because too many messages were sent in a short time"
    default_advice = "Send it again later; that is safe."

    def __init__(self, reason: str = "", *, advice: str = "", to: str = "", retry_after: float | None = None) -> None:
        super().__init__(reason, advice=advice, to=to)
        self.retry_after = retry_after


class Unreachable(NotSent):
    """DialogTech could not be reached, and no byte of the request left."""

    default_reason = "DialogTech could not be reached"
    default_advice = "Check the connection's API URL, the network and the proxy. Sending it again is safe."


class WaitTooLong(NotSent):
    """The rate limits leave no slot for the message within `max_wait`.

    :param reason: when the next slot is.
    :param advice: what to do now.
    :param to: the recipient's number, shortened.
    :param sendable_at: when the limits allow the message, in UTC.
    """

    default_reason = "the rate limits leave no slot within max_wait"
    default_advice = "Send it again later, or with a longer max_wait."

    def __init__(
        self, reason: str = "", *, advice: str = "", to: str = "", sendable_at: datetime | None = None
    ) -> None:
        super().__init__(reason, advice=advice, to=to)
        self.sendable_at = sendable_at


class JournalUnavailable(NotSent):
    """The delivery journal could not be read or written, so the message was not sent."""

    default_reason = "the delivery journal could not be read or written"
    default_advice = "Check [dialogtech] journal_url and its database. Sending the message again is safe."


class InDoubt(DialogTechError):
    """The message may have been sent: the outcome of its request is unknown. It is not sent again by itself.

    :param reason: what is known.
    :param advice: what to do now.
    :param to: the recipient's number, shortened.
    :param since: when its request left, in UTC.
    :param key: the message's idempotency key in the journal.
    :param earlier: whether it left in an earlier try, and nothing was sent now.
    """

    outcome = "in doubt"
    default_reason = "its request left, and its outcome is unknown"
    default_advice = how_to_settle("this recipient and time", "the message", "it")

    def __init__(
        self,
        reason: str = "",
        *,
        advice: str = "",
        to: str = "",
        since: datetime | None = None,
        key: str | None = None,
        earlier: bool = False,
    ) -> None:
        super().__init__(reason, advice=advice, to=to)
        self.since = since
        self.key = key
        self.earlier = earlier
