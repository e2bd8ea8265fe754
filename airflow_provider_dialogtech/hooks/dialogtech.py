"""The hook: sends messages through an Airflow connection."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dialogtech._child import connect_to_task
from airflow_provider_dialogtech._compat import (
    AirflowNotFoundException,
    BaseHook,
    in_thread,
    mask_secret,
    one_at_a_time,
    reads_stored_connections,
)
from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InvalidConnection,
    InvalidMessage,
    NotSent,
    Refused,
    Throttled,
    Unreachable,
    plural,
)
from airflow_provider_dialogtech.masking import encodings_of, mask_number, mask_numbers, opaque, safe_repr
from airflow_provider_dialogtech.settings import config, fields
from airflow_provider_dialogtech.settings.connection import LONGEST_KEY, ConnectionContent, ConnectionSettings, invalid
from airflow_provider_dialogtech.settings.identity import Keys, current_origin, default_key, given_key
from airflow_provider_dialogtech.settings.journal import AirflowRecorder, journal_store
from airflow_provider_dialogtech.sms.message import SmsMessage, normalize_number

if TYPE_CHECKING:
    from airflow_provider_dialogtech.api.client import DialogTechClient
    from airflow_provider_dialogtech.delivery.sender import SmsSender

log = logging.getLogger(__name__)

__all__ = ["DialogTechHook"]


class DialogTechHook(BaseHook):
    """Sends messages through a DialogTech account.

    .. code-block:: python

        DialogTechHook().send_sms(to="(555) 666-7777", message="The nightly load is done.")

    :param dialogtech_conn_id: the connection of type `dialogtech`, which holds the account's keys; by default
        `dialogtech_default`.
    :param conn_id: another name for `dialogtech_conn_id`.
    :raises InvalidConnection: when the two name different connections, or one is a URI.
    """

    conn_name_attr = "dialogtech_conn_id"
    default_conn_name = "dialogtech_default"
    conn_type = "dialogtech"
    hook_name = "DialogTech SMS"

    def __init__(self, dialogtech_conn_id: str | None = None, *, conn_id: str | None = None) -> None:
        super().__init__()
        if dialogtech_conn_id and conn_id and dialogtech_conn_id != conn_id:
            raise InvalidConnection(
                f"dialogtech_conn_id is {safe_repr(dialogtech_conn_id)} and conn_id is {safe_repr(conn_id)}",
                advice="Give one of them.",
                before_any=True,
            )
        self.dialogtech_conn_id = str(dialogtech_conn_id or conn_id or self.default_conn_name)
        # An error names the id, and a URI has the secret key in it.
        if "//" in self.dialogtech_conn_id:
            raise InvalidConnection(
                "dialogtech_conn_id is the URI of a connection, not its id",
                advice="Set it as the environment variable AIRFLOW_CONN_DIALOGTECH_DEFAULT, and give "
                "'dialogtech_default'.",
                before_any=True,
            )
        self._unreadable = ""

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the connection form's fields, for Airflow up to 3.1."""
        return fields.widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the labels of the connection form's standard fields, for Airflow up to 3.1."""
        return fields.behaviour()

    @cached_property
    def settings(self) -> ConnectionSettings:
        """The connection's settings, read once.

        :raises InvalidConnection: when the connection is missing, or one of its fields is missing or invalid.
        :raises NotSent: when Airflow could not read the connection.
        """
        return self._read(
            lambda: one_at_a_time(self.get_connection, self.dialogtech_conn_id),
            _outside_of_airflow(self.dialogtech_conn_id),
        )

    async def aload(self) -> None:
        """Read the connection into `settings` without blocking the event loop.

        :raises InvalidConnection: when the connection is missing, or one of its fields is missing or invalid.
        :raises NotSent: when Airflow could not read the connection.
        """
        if not hasattr(self, "aget_connection"):  # before Airflow 3.1
            await in_thread(getattr, self, "settings")
            return
        try:
            self.settings = self._checked(await self.aget_connection(self.dialogtech_conn_id))
        except Exception as error:
            failure = self._unread(error, _outside_of_airflow(self.dialogtech_conn_id))
        else:
            return
        raise failure

    def read_connection(self, read: Callable[[], Any]) -> None:
        """Read the connection into `settings` in another way than a task does.

        :param read: returns the Airflow connection.
        :raises InvalidConnection: when the connection is missing, or one of its fields is missing or invalid.
        :raises NotSent: when Airflow could not read the connection.
        """
        self.settings = self._read(read)

    def _read(self, read: Callable[[], Any], hint: str = "") -> ConnectionSettings:
        try:
            self._unreadable = connect_to_task()
            return self._checked(read())
        except Exception as error:
            failure = self._unread(error, hint)
        raise failure

    def _checked(self, connection: Any) -> ConnectionSettings:
        content = ConnectionContent(connection)
        # A traceback may show local variables, and a connection shows its password.
        del connection
        _mask(content.password)
        return ConnectionSettings.of(content)

    def _unread(self, error: Exception, hint: str = "") -> DialogTechError:
        """Return the package's error for one that reading the connection raised.

        :param hint: more advice.
        """
        if isinstance(error, DialogTechError):
            return error
        if isinstance(error, AirflowNotFoundException):
            return InvalidConnection(
                f"Airflow has no connection {self.dialogtech_conn_id!r}, or cannot read it",
                advice=self._unreadable or f"Create it, or check the secrets backend.{hint}",
                before_any=True,
            )
        return NotSent(
            f"Airflow could not read the connection {self.dialogtech_conn_id!r} ({type(error).__name__})",
            advice=NotSent.default_advice + hint,
        )

    def get_conn(self) -> DialogTechClient:
        """Return the client of the connection's account.

        :raises InvalidConnection: when a field of the connection is missing or invalid.
        """
        return self.make_client(self.settings.timeout)

    def make_client(self, timeout: float) -> DialogTechClient:
        """Return a client of the connection's account with another timeout.

        :param timeout: the longest time of one API call, in seconds.
        :raises InvalidConnection: when a field of the connection is missing or invalid.
        """
        from airflow_provider_dialogtech.api.client import DEFAULT_URL, DialogTechClient

        settings = self.settings
        try:
            return DialogTechClient(
                settings.access_key,
                settings.secret_access_key,
                settings.url or DEFAULT_URL,
                http_method=settings.http_method,
                timeout=timeout,
                throttled_words=settings.throttled_words,
                conn_id=settings.conn_id,
            )
        except InvalidConnection as error:
            # The client's error does not name the connection.
            problem = invalid(settings.conn_id, error.reason)
        raise problem

    def send_sms(
        self,
        *,
        to: str,
        message: str,
        from_: str | None = None,
        idempotency_key: str | None = None,
        in_doubt: Literal["fail", "resend"] = "fail",
        on_too_long: Literal["fail", "truncate"] = "fail",
        smart_encoding: bool = False,
        max_wait: timedelta | float | None = None,
        keep_beyond: float | None = None,
        keys_of: Callable[[SmsMessage], Keys] | None = None,
    ) -> SendResult:
        """Send a message, once per idempotency key.

        :param to: the recipient: a number in any common format, of the US unless it has another country code, or one of
            the connection's `contacts` with one number.
        :param message: the body, at most 256 characters.
        :param from_: the DialogTech number to send from; by default that of the connection's `from_numbers` with the
            earliest slot.
        :param idempotency_key: a message is sent once per key. By default each body is sent to each recipient once per
            run of the calling task; outside a task every call sends.
        :param in_doubt: what to do when an earlier try may have sent the message: `fail`, or `resend` and risk that it
            arrives twice.
        :param on_too_long: what to do with more than 256 characters: `fail`, or `truncate`.
        :param smart_encoding: replace typographic characters (curly quotes, dashes) where that saves segments.
        :param max_wait: the longest wait for a slot, as a timedelta or in seconds; by default unlimited.
        :param keep_beyond: a slot more than this many seconds away is kept, and `WaitTooLong` is raised. The same call,
            made shortly before `WaitTooLong.sendable_at`, uses the slot. For a task that is deferred until then.
        :param keys_of: returns what the message is recognised by without an `idempotency_key`. For the operators.
        :return: the outcome.
        :raises InvalidConnection: when the connection is missing or invalid.
        :raises InvalidMessage: when an argument is invalid.
        :raises NotSent: when the message was not sent; its subclasses say why.
        :raises InDoubt: when the message may have been sent.
        """
        # A traceback may show local variables, so these do not show their values.
        to, message, from_, idempotency_key = map(opaque, (to, message, from_, idempotency_key))
        recipient = ""
        try:
            check_choices(in_doubt=in_doubt, on_too_long=on_too_long)
            check_flags(smart_encoding=smart_encoding)
            seconds = seconds_of(max_wait)
            sms = self.compose(to, message, from_, on_too_long=on_too_long, smart_encoding=smart_encoding)
            recipient = mask_number(sms.to)
            if idempotency_key is not None:
                keys = Keys(given_key(idempotency_key))
            else:
                keys = keys_of(sms) if keys_of is not None else Keys(default_key(sms.to, sms.body))
            sender = self.make_sender()
            result = sender.send(
                sms,
                key=keys.key,
                body_key=keys.body_key,
                in_doubt=in_doubt,
                max_wait=seconds,
                keep_beyond=keep_beyond,
                origin=current_origin(),
            )
        except DialogTechError as error:
            # Without the package's frames, which would push the message off the log page.
            failure = error.with_traceback(None)
            failure.to = failure.to or recipient
            failure.name_connection(self.dialogtech_conn_id)
            # Some tools show every string among the locals, whatever its repr is.
            del to, message, from_, idempotency_key
        else:
            _log(result)
            return result
        raise failure

    def recipient(self, to: object) -> str:
        """Return a recipient's number, in digits.

        :param to: a number in any common format, or a contact with one number.
        :raises InvalidMessage: when it is neither.
        """
        return normalize_number(self.settings.contacts.number_of(to), "to")

    def senders(self, from_: object = None) -> tuple[str, ...]:
        """Return the numbers that a message may be sent from, in digits: `from_`, else the connection's.

        :param from_: a number. One that the connection does not list is used, with a warning in the log.
        :raises InvalidMessage: when it is not a phone number.
        """
        listed = self.settings.from_numbers
        # Only these types: another value's `bool` may raise.
        if from_ is None or (isinstance(from_, str | int) and not from_):
            return listed
        sender = normalize_number(from_, "from_")
        if listed and sender not in listed:
            log.warning(
                "The sender %s is not among the from_numbers of the connection %s (%s). It is used all the same; add "
                "it there if it belongs to the account.",
                mask_number(sender),
                self.dialogtech_conn_id,
                ", ".join(map(mask_number, listed)),
            )
        return (sender,)

    def compose(self, to: object, message: object, from_: object = None, **options: Any) -> SmsMessage:
        """Return a message that is ready to send, and log its remarks.

        :param to: as for `recipient`.
        :param message: the body.
        :param from_: as for `senders`.
        :param options: the other arguments of `SmsMessage.create`.
        :raises InvalidMessage: when an argument is invalid.
        """
        sms = SmsMessage.create(to=self.recipient(to), message=message, from_numbers=self.senders(from_), **options)
        for remark in sms.remarks:
            log.warning("%s", remark)
        return sms

    def make_sender(self, *, clock: Clock = SYSTEM_CLOCK) -> SmsSender:
        """Return the sender of the connection's account, which uses the journal for rate limits and idempotency.

        :param clock: the clock that it reads and sleeps by. An exception raised by `clock.sleep` cancels the send; a
            request not yet written is not sent.
        :raises InvalidConnection: when a field of the connection is missing or invalid, or the journal cannot be used
            with this executor.
        :raises JournalUnavailable: when Airflow could not read the journal's URL.
        """
        from airflow_provider_dialogtech.delivery.sender import SmsSender
        from airflow_provider_dialogtech.journal.journal import MessageJournal

        settings = self.settings
        journal = MessageJournal(
            journal_store(),
            settings.account,
            settings.limits,
            retention=config.journal_retention(),
            recorder=AirflowRecorder(),
            namespace=config.namespace(),
        )
        return SmsSender(self.get_conn(), journal, clock=clock, only_to=settings.only_to)

    def test_connection(self) -> tuple[bool, str]:
        """Read the account's numbers from DialogTech, without sending.

        :return: whether the keys and the numbers are accepted, and a sentence about it.
        """
        try:
            return _compared(self.settings.from_numbers, self.get_conn().get_numbers())
        except Exception as error:
            return False, _words_for(error)


_WORDS: dict[type[Exception], str] = {
    BadCredentials: "DialogTech did not accept the access keys. Check the access key and the secret access key.",
    Unreachable: "DialogTech could not be reached. Check the API URL, the network and the proxy.",
    Throttled: "DialogTech throttled the request, so the keys could not be tested. Try again in a minute.",
}


def _compared(from_numbers: Sequence[str], enabled: Sequence[str]) -> tuple[bool, str]:
    accepted = "DialogTech accepted the access keys."
    if not from_numbers:
        return True, f"{accepted} The connection has no from_numbers, so every message must name its sender (from_)."
    if not enabled:
        return True, f"{accepted} Its answer has no numbers that could be read, so from_numbers could not be checked."
    not_enabled = [number for number in from_numbers if number not in enabled]
    words = "; ".join(
        f"{mask_number(number)} is {'not ' if number in not_enabled else ''}SMS-enabled" for number in from_numbers
    )
    return not not_enabled, f"{accepted} From numbers: {words}."


def _words_for(error: Exception) -> str:
    if isinstance(error, InvalidConnection):
        # Without its advice, which names the connection: in the browser, Airflow tests it under a random id.
        return f"This connection: {error.reason}. Correct it, then test it again."
    if type(error) is Refused:
        return f"DialogTech refused the test: {mask_numbers(error.description) or 'it gave no reason'}."
    if type(error) is NotSent:
        return f"The connection could not be tested: {error.reason}. {error.advice}"
    return _WORDS.get(type(error), f"The connection could not be tested ({type(error).__name__}).")


def _outside_of_airflow(conn_id: str) -> str:
    """Return advice for a variable that Airflow could not read, or for a program that Airflow 3 did not start."""
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    if os.environ.get(variable):
        return f" The environment variable {variable} is set, but is neither a URI nor JSON with a connection's fields."
    if reads_stored_connections():
        return ""
    return (
        " Outside of its own processes, Airflow 3 does not read connections from its database: set the environment "
        f"variable {variable}, or use `python -m airflow_provider_dialogtech send`."
    )


def _log(result: SendResult) -> None:
    if result.status == "held_back":
        log.info("Held back, so nothing was sent: the connection's only_to does not name %s.", result.to)
        return
    sent = result.status == "sent"
    facts = (plural(result.segments, "segment"), result.encoding, plural(result.attempts, "try", "tries"))
    log.info(
        "%s: the message to %s%s (%s).%s",
        "Sent" if sent else "Already sent, so nothing was sent now",
        result.to,
        f" from {result.from_}" if result.from_ else "",  # unknown of a message that a person has settled
        ", ".join(filter(None, facts)),
        "" if sent else " To send it again, give it another idempotency_key.",
    )


def _mask(secret: str) -> None:
    # A longer secret is invalid and never sent. Airflow rebuilds its masking pattern for each encoding, which takes 4 s
    # with a password of 2,000 characters.
    if len(secret) > LONGEST_KEY:
        return
    # Airflow masks only the plain password, but the request contains it percent-encoded.
    for encoded in encodings_of(secret):
        one_at_a_time(mask_secret, encoded)


_CHOICES = {"in_doubt": ("fail", "resend"), "on_too_long": ("fail", "truncate"), "invalid": ("fail", "skip")}


def check_choices(**arguments: object) -> None:
    """Check `in_doubt`, `on_too_long` and `invalid`.

    :raises InvalidMessage: when one of them has an unknown value.
    """
    for name, value in arguments.items():
        if not isinstance(value, str) or value not in _CHOICES[name]:
            wanted = " or ".join(f'"{choice}"' for choice in _CHOICES[name])
            raise InvalidMessage(f"{name} must be {wanted}, not {safe_repr(value)}", before_any=True)


def check_flags(**arguments: object) -> None:
    """Check arguments that are True or False. A text, such as "no", would be true.

    :raises InvalidMessage: when one of them is something else.
    """
    for name, value in arguments.items():
        if not isinstance(value, bool):
            raise InvalidMessage(f"{name} must be True or False, not {safe_repr(value)}", before_any=True)


def seconds_of(max_wait: timedelta | float | None, name: str = "max_wait") -> float | None:
    """Return `max_wait` in seconds; None for no limit.

    :param max_wait: the argument.
    :param name: its name.
    :raises InvalidMessage: when it is not a timedelta or a number, or is negative.
    """
    if max_wait is None:
        return None
    seconds = max_wait.total_seconds() if isinstance(max_wait, timedelta) else max_wait
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= sys.float_info.max:
        raise InvalidMessage(
            f"{name} must be a number of seconds or a timedelta, not {safe_repr(max_wait)}", before_any=True
        )
    return float(seconds)
