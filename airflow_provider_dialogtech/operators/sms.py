"""Tasks that text people."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dialogtech._compat import trigger_at
from airflow_provider_dialogtech.exceptions import DialogTechError, WaitTooLong
from airflow_provider_dialogtech.hooks.dialogtech import check_choices, seconds_of
from airflow_provider_dialogtech.operators.base import PooledOperator, ending_of
from airflow_provider_dialogtech.operators.bulk import DialogTechSendBulkSmsOperator
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.identity import key_in

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import Context

__all__ = ["DialogTechSendBulkSmsOperator", "DialogTechSendSmsOperator"]

log = logging.getLogger(__name__)

DEFERRED_BEYOND = timedelta(seconds=60)
RESUMED_BEFORE = timedelta(seconds=10)


class DialogTechSendSmsOperator(PooledOperator):
    """Text one person.

    .. code-block:: python

        DialogTechSendSmsOperator(
            task_id="text_the_owner",
            to="(555) 666-7777",
            message="The load of {{ run_id }} is done.",
        )

    A task sends its text once per DAG run and recipient, however often it is retried or cleared. A message that may be
    out is not sent again; the task then fails and says so. Pushed to XCom: what became of the message, as plain JSON.

    :param to: the number it goes to, as people write it, or the name of one of the connection's `contacts` with one
        number. (templated)
    :param message: what it says, at most 256 characters; or the path of a `.sms` file that says it. (templated)
    :param from_: the DialogTech number it leaves from; by default any of the connection's `from_numbers`. (templated)
    :param idempotency_key: under one key a message goes out once; by default once per task, recipient and DAG run.
        To send a message again, give it another key. An empty one is an error. (templated)
    :param in_doubt: what to do when the message may be out from an earlier try: `fail`, or `resend` and risk that it
        arrives twice.
    :param on_too_long: what to do with more than 256 characters: `fail`, or `truncate`.
    :param smart_encoding: replace typographic characters (curly quotes, dashes) when that saves segments.
    :param max_wait: for how many seconds (or which timedelta) at most to wait for a slot; by default as long as it
        takes.
    :param deferrable: give the worker and the pool's slot back while the message's slot is more than 60 seconds away,
        and come back 10 seconds before it. It helps where messages wait minutes: many of them outside of the
        connection's pool, or few numbers. Needs a triggerer; the message itself leaves from a worker.
    :param dialogtech_conn_id: the connection of type `dialogtech`. (templated)
    :param pool: the pool. By default the one of the connection's name when the connection is listed in
        `[dialogtech] conn_ids`, else Airflow's default pool.
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

        :return: what became of it, as plain JSON.
        :raises AirflowFailException: when a retry by Airflow could not send it, or could send it twice.
        """
        seconds = seconds_of(self.max_wait)
        return self.resume(context, until=None if seconds is None else time.time() + seconds)

    def resume(self, context: Context, event: Any = None, *, until: float | None) -> dict[str, Any]:  # noqa: ARG002
        """Send the message, at first or shortly before its slot.

        :param until: when `max_wait` is over, in seconds since 1970.
        """
        try:
            return self._send(context, None if until is None else max(0.0, until - time.time()))
        except DialogTechError as error:
            failure = error
        slot = failure.sendable_at if isinstance(failure, WaitTooLong) else None
        if not self.deferrable or slot is None or (until is not None and slot.timestamp() > until):
            raise ending_of(failure)
        at = slot.isoformat(timespec="seconds")
        log.info("The message's slot is at %s; the task keeps it, and is deferred until shortly before.", at)
        return self.defer(trigger=trigger_at(slot - RESUMED_BEFORE), method_name="resume", kwargs={"until": until})

    def _send(self, context: Context, max_wait: float | None) -> dict[str, Any]:
        return self.hook.send_or_keep_slot(
            to=self.to,
            message=self.message,
            from_=self.from_,
            idempotency_key=key_in(context, self.hook.recipient(self.to))
            if self.idempotency_key is None
            else self.idempotency_key,
            in_doubt=self.in_doubt,
            on_too_long=self.on_too_long,
            smart_encoding=self.smart_encoding,
            max_wait=max_wait,
            keep_beyond=DEFERRED_BEYOND.total_seconds() if self.deferrable else None,
        ).as_xcom()
