"""Tasks that send messages."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dialogtech._compat import trigger_at
from airflow_provider_dialogtech.exceptions import DialogTechError, WaitTooLong
from airflow_provider_dialogtech.hooks.dialogtech import check_choices, check_flags, seconds_of
from airflow_provider_dialogtech.operators.base import PooledOperator, ending_of
from airflow_provider_dialogtech.operators.bulk import DialogTechSendBulkSmsOperator
from airflow_provider_dialogtech.operators.yaml_dags import require_as_written
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.identity import keys_in

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import Context

__all__ = ["DialogTechSendBulkSmsOperator", "DialogTechSendSmsOperator"]

log = logging.getLogger(__name__)

DEFERRED_BEYOND = timedelta(seconds=60)
RESUMED_BEFORE = timedelta(seconds=10)


class DialogTechSendSmsOperator(PooledOperator):
    """Send a message to one recipient.

    .. code-block:: python

        DialogTechSendSmsOperator(
            task_id="notify_owner",
            to="(555) 666-7777",
            message="The load of {{ run_id }} is done.",
        )

    A task sends its message once per DAG run and recipient, however often it is retried or cleared. When an earlier try
    may have sent it, the task does not send it again, and fails. It pushes the outcome to XCom, as plain JSON.

    :param to: the recipient: a number in any common format, or one of the connection's `contacts` with one number.
        (templated)
    :param message: the body, at most 256 characters, or the path of a `.sms` file with it. (templated)
    :param from_: the DialogTech number to send from; by default that of the connection's `from_numbers` with the
        earliest slot. (templated)
    :param idempotency_key: a message is sent once per key; by default once per task, recipient and DAG run. To send it
        again, use another key. An empty key is an error. (templated)
    :param in_doubt: what to do when an earlier try may have sent the message: `fail`, or `resend` and risk that it
        arrives twice.
    :param on_too_long: what to do with more than 256 characters: `fail`, or `truncate`.
    :param smart_encoding: replace typographic characters (curly quotes, dashes) where that saves segments.
    :param max_wait: the longest wait for a slot, as a timedelta or in seconds; by default unlimited.
    :param deferrable: defer the task if the message's slot is more than 60 seconds away, keep the slot, and resume 10
        seconds before it. Useful where messages wait for minutes, outside the connection's pool or for few numbers.
        Needs a triggerer; a worker sends the message. By default `[operators] default_deferrable`.
    :param dialogtech_conn_id: the connection of type `dialogtech`. (templated)
    :param pool: the pool. By default the pool with the connection's name if `[dialogtech] conn_ids` lists the
        connection, else Airflow's default pool.
    :raises InvalidMessage: when `max_wait`, a flag or one of the choices is invalid.
    """

    template_fields: Sequence[str] = ("to", "message", "from_", "idempotency_key", "dialogtech_conn_id")
    template_ext: Sequence[str] = (".sms",)
    ui_color = "#d8eefe"

    def __init__(
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
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        check_choices(in_doubt=in_doubt, on_too_long=on_too_long)
        check_flags(smart_encoding=smart_encoding, deferrable=deferrable is not None and deferrable)
        seconds_of(max_wait)
        super().__init__(**kwargs)
        self.to = to
        self.message = message
        self.from_ = from_
        self.idempotency_key = idempotency_key
        self.in_doubt = in_doubt
        self.on_too_long = on_too_long
        self.smart_encoding = smart_encoding
        self.max_wait = max_wait
        self.deferrable = config.deferrable_by_default() if deferrable is None else deferrable

    def execute(self, context: Context) -> dict[str, Any]:
        """Send the message.

        :param context: the task's context.
        :return: the outcome, as plain JSON.
        :raises AirflowFailException: when a retry could not send the message, or could send it twice.
        :raises NotSent: when the message was not sent, and a retry may send it.
        """
        seconds = seconds_of(self.max_wait)
        return self.resume(context, until=None if seconds is None else time.time() + seconds)

    def resume(self, context: Context, event: Any = None, *, until: float | None) -> dict[str, Any]:  # noqa: ARG002
        """Send the message, at the task's start or when it resumes shortly before the slot.

        :param context: the task's context.
        :param until: the end of `max_wait`, in seconds since 1970.
        """
        try:
            return self._send(context, None if until is None else max(0.0, until - time.time()))
        except DialogTechError as error:
            failure = error
        slot = failure.sendable_at if isinstance(failure, WaitTooLong) else None
        if not self.deferrable or slot is None or (until is not None and slot.timestamp() > until):
            raise ending_of(failure)
        at = slot.isoformat(timespec="seconds")
        log.info("The message can be sent at %s; the task is deferred until shortly before.", at)
        return self.defer(trigger=trigger_at(slot - RESUMED_BEFORE), method_name="resume", kwargs={"until": until})

    def _send(self, context: Context, max_wait: float | None) -> dict[str, Any]:
        require_as_written(self)
        return self.hook.send_sms(
            to=self.to,
            message=self.message,
            from_=self.from_,
            idempotency_key=self.idempotency_key,
            in_doubt=self.in_doubt,
            on_too_long=self.on_too_long,
            smart_encoding=self.smart_encoding,
            max_wait=max_wait,
            keep_beyond=DEFERRED_BEYOND.total_seconds() if self.deferrable else None,
            keys_of=partial(keys_in, context),
        ).as_xcom()
