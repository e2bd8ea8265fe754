"""Errors named by what they mean for the text: not sent, or in doubt.

A message here is shown in task logs, in the UI and in alerts, so it never carries a URL, a key or a full phone number.
"""

from __future__ import annotations

from datetime import datetime
from inspect import cleandoc


class DialogTechError(Exception):
    """The text could not be sent.

    The first line of a class's docstring is its message where none is given.

    :param message: what happened to the text, and what to do now.
    """

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or cleandoc(self.__doc__ or "").splitlines()[0])


class NotSent(DialogTechError):
    """The text was certainly not sent."""


class InvalidConnection(NotSent, ValueError):
    """A setting of the DialogTech connection is wrong; nothing was sent. Correct the connection."""


class InvalidMessage(NotSent, ValueError):
    """The text was not sent: our own check refused it. Correct the task's arguments."""


class Refused(NotSent):
    """The text was not sent: DialogTech refused it.

    :param message: what happened to the text, and what to do now.
    :param description: the reason as the API gave it, scrubbed of keys and phone numbers.
    """

    def __init__(self, message: str | None = None, *, description: str = "") -> None:
        super().__init__(message)
        self.description = description


class BadCredentials(Refused):
    """The text was not sent: DialogTech did not accept the access keys. Check the connection's login and password."""


class Throttled(NotSent):
    """The text was not sent: DialogTech refused it for its rate. It may go later.

    :param message: what happened to the text, and what to do now.
    :param retry_after: how many seconds the API asked to wait, if it said so.
    """

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(NotSent):
    """The text was not sent: DialogTech could not be reached, and no byte of the request left."""


class WaitTooLong(NotSent):
    """The text was not sent: the rate limits leave no slot within `max_wait`.

    :param message: what happened to the text, and what to do now.
    :param sendable_at: when the limits allow the text, in UTC.
    """

    def __init__(self, message: str | None = None, *, sendable_at: datetime | None = None) -> None:
        super().__init__(message)
        self.sendable_at = sendable_at


class InDoubt(DialogTechError):
    """The text may have been sent: the outcome of its request is unknown.

    It is not sent again by itself. Look it up in DialogTech's message log; to send it anyway, use `in_doubt="resend"`.

    :param message: what happened to the text, and what to do now.
    :param since: when its request went out, in UTC.
    :param key: the text's idempotency key in the journal.
    :param earlier: whether it went out earlier, and nothing was sent now.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        since: datetime | None = None,
        key: str | None = None,
        earlier: bool = False,
    ) -> None:
        super().__init__(message)
        self.since = since
        self.key = key
        self.earlier = earlier


class JournalUnavailable(NotSent):
    """The text was not sent: the delivery journal could not be read or written."""
