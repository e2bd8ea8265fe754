"""Errors, named by what they mean for the message: it was not sent, or it may have been.

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

The package raises no other errors. Their sentences appear in task logs, in the UI and in alerts, so they never contain
a URL, a key or a full phone number. Code reads an error's fields, never its sentence.
"""

from __future__ import annotations

import re
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


def how_to_settle(sought: str, message: str, it: str, again: str = 'set in_doubt="resend"') -> str:
    """Return the advice for messages in doubt.

    :param sought: what to look for in DialogTech's message log.
    :param message: the noun for the message, or for several.
    :param it: the pronoun for it.
    :param again: how to send it again.
    """
    return (
        f"Look for {sought} in DialogTech's message log. Then settle {message}: `python -m airflow_provider_dialogtech "
        f"messages list` shows {it}, `messages resolve` settles {it}. Or, to send {it} again in any case, {again}."
    )


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: `1 segment`, `2 segments`.

    :param count: the count.
    :param one: the singular noun.
    :param many: the plural noun; by default `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


class DialogTechError(Exception):
    """A message was not sent, or may have been sent. Only subclasses are raised; catch this class to catch all.

    Every subclass takes these parameters, and names its own.

    :param reason: why, without a full stop; by default the class's.
    :param advice: what to do now, in whole sentences; by default the class's.
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

    def name_connection(self, conn_id: str) -> None:
        """Name the connection in the advice, if that speaks of one.

        :param conn_id: the connection.
        """
        self.advice = re.sub(r"in the connection(?! ')", lambda _: f"in the connection {conn_id!r}", self.advice)

    def __str__(self) -> str:
        message = f"The message to {self.to}" if self.to else "The message"
        if self.outcome == "in doubt":
            happened = f"{message} may have been sent"
        else:
            happened = "Nothing was sent" if self.before_any else f"{message} was not sent"
        return f"{happened}: {self.reason}. {self.advice}"


class NotSent(DialogTechError):
    """The message was not sent.

    :param before_any: whether this error ended a list before its first message was sent.
    """

    outcome = "not sent"
    default_reason = "the send was stopped before its request left"
    default_advice = "Sending it again is safe."

    def __init__(self, reason: str = "", *, advice: str = "", to: str = "", before_any: bool = False) -> None:
        super().__init__(reason, advice=advice, to=to)
        self.before_any = before_any


class InvalidMessage(NotSent, ValueError):
    """An argument or the message's body is invalid."""

    default_reason = "one of its arguments is wrong"
    default_advice = "Correct it."


class InvalidConnection(NotSent, ValueError):
    """A setting of the connection or of `[dialogtech]` is missing or invalid."""

    default_reason = "a setting of the DialogTech connection is wrong"
    default_advice = "Correct the connection."


class Refused(NotSent):
    """DialogTech refused the message.

    :param description: the API's description of the refusal, scrubbed of keys and phone numbers.
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

    :param retry_after: the seconds that the API asked to wait; None when it did not.
    """

    default_reason = "DialogTech throttled it, because too many messages were sent in a short time"
    default_advice = "Send it again later; that is safe."

    def __init__(self, reason: str = "", *, advice: str = "", to: str = "", retry_after: float | None = None) -> None:
        super().__init__(reason, advice=advice, to=to)
        self.retry_after = retry_after


class Unreachable(NotSent):
    """DialogTech could not be reached, and no byte of the request left."""

    default_reason = "DialogTech could not be reached"
    default_advice = "Check the network, the proxy and the API URL in the connection. Sending it again is safe."


class WaitTooLong(NotSent):
    """The rate limits leave no slot for the message within `max_wait`, or too many messages are waiting already.

    :param sendable_at: when the limits allow the message, in UTC; None when unknown.
    """

    default_reason = "the rate limits leave no slot within max_wait"
    default_advice = "Send it again later, or with a longer max_wait."

    def __init__(
        self, reason: str = "", *, advice: str = "", to: str = "", sendable_at: datetime | None = None
    ) -> None:
        super().__init__(reason, advice=advice, to=to)
        self.sendable_at = sendable_at


class JournalUnavailable(NotSent):
    """The delivery journal could not be read or written."""

    default_reason = "the delivery journal could not be read or written"
    default_advice = (
        "Check the journal: `python -m airflow_provider_dialogtech check`. Sending the message again is safe."
    )


class InDoubt(DialogTechError):
    """The message may have been sent: the outcome of its request is unknown. The package never resends it by itself.

    :param since: when its request left, in UTC.
    :param key: the message's idempotency key in the journal.
    :param earlier: whether the request left in an earlier try, and this try sent nothing.
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
