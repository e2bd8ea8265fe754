"""A task that messages a list of people."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dialogtech.bulk.failure_policy import FailurePolicy, ListFailed, Stop
from airflow_provider_dialogtech.bulk.report import Progress, Report
from airflow_provider_dialogtech.bulk.rows import Rows, check_rows
from airflow_provider_dialogtech.bulk.template import RowTemplate
from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidMessage
from airflow_provider_dialogtech.hooks.dialogtech import check_choices, seconds_of
from airflow_provider_dialogtech.masking import safe_repr, type_name
from airflow_provider_dialogtech.operators.base import PooledOperator, ending_of, ending_of_list, pushing_summary
from airflow_provider_dialogtech.settings.identity import origin_of

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import Context
    from airflow_provider_dialogtech.bulk.sender import BulkSender, RowMessage
    from airflow_provider_dialogtech.sms.message import SmsMessage

__all__ = ["DialogTechSendBulkSmsOperator"]

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0
# Each message waits a second or so for its slot with its connection open, so the line stays full while replies take
# long.
MESSAGES_UNDER_WAY_PER_SLOT = 3


class DialogTechSendBulkSmsOperator(PooledOperator):
    """Text a list of people, each once.

    .. code-block:: python

        DialogTechSendBulkSmsOperator(
            task_id="remind_customers",
            recipients=[
                {"to": "(555) 666-7777", "name": "Ada", "when": "at 9"},
                {"to": "(555) 666-8888", "name": "Grace", "when": "at 10"},
            ],
            message="Hi {{ recipient.name }}, we see you {{ recipient.when }}.",
        )

    One task keeps the account's line full. Killed, retried or cleared, it goes on with those who have not got their
    message. Pushed to XCom, also when the task fails: how many were sent, and which were not and why.

    :param recipients: numbers, contacts, or mappings with `to`, an optional `id` and values for the message: a list, or
        an XCom of one. The same recipient with different messages needs an `id` (an order number, say) in each row.
        (templated)
    :param message: what it says, at most 256 characters; or the path of a `.sms` file that says it. Rendered for each
        row, with the row as `recipient` beside Airflow's own variables; what is undefined makes a row bad.
    :param from_: the DialogTech number the messages leave from; by default any of the connection's `from_numbers`, the
        one whose slot comes first. (templated)
    :param max_failures: how many messages may fail before the task fails, after everybody has been tried.
    :param invalid: what to do with bad rows: `fail` before anything is sent, or `skip` them and report them.
    :param in_doubt: what to do with messages that may be out from an earlier try: `fail`, or `resend` and risk that
        they arrive twice.
    :param on_too_long: what to do with more than 256 characters: `fail`, or `truncate`.
    :param smart_encoding: replace typographic characters (curly quotes, dashes) when that saves segments.
    :param max_wait: for how many seconds (or which timedelta) at most to go on; a message that has no slot by then is
        not sent. By default as long as it takes.
    :param detailed: push what became of every row, too, not only of those that were not sent.
    :param dialogtech_conn_id: the connection of type `dialogtech`. (templated)
    :param pool: the pool. By default the one of the connection's name when the connection is listed in
        `[dialogtech] conn_ids`, else Airflow's default pool.
    """

    # Not the message: it is rendered for each row.
    template_fields: Sequence[str] = ("recipients", "from_", "dialogtech_conn_id")
    template_ext: Sequence[str] = (".sms",)
    ui_color = "#d8eefe"

    def __init__(
        self,
        *,
        recipients: Iterable[Any] | str,
        message: str,
        from_: str | None = None,
        max_failures: int = 0,
        invalid: Literal["fail", "skip"] = "fail",
        in_doubt: Literal["fail", "resend"] = "fail",
        on_too_long: Literal["fail", "truncate"] = "fail",
        smart_encoding: bool = False,
        max_wait: timedelta | float | None = None,
        detailed: bool = False,
        **kwargs: Any,
    ) -> None:
        check_choices(in_doubt=in_doubt, on_too_long=on_too_long, invalid=invalid)
        seconds_of(max_wait)
        if isinstance(max_failures, bool) or not isinstance(max_failures, int) or max_failures < 0:
            raise InvalidMessage(
                f"max_failures must be a whole number of at least 0, not {safe_repr(max_failures)}", before_any=True
            )
        if not isinstance(message, str):
            raise InvalidMessage(
                f"message must be a template as text, not a {type_name(message)}",
                advice="What another task returns can stand in a row's values, or in the template: "
                "{{ ti.xcom_pull('…') }}.",
                before_any=True,
            )
        super().__init__(**kwargs)
        self.recipients = recipients
        self.message = message
        self.from_ = from_
        self.max_failures = max_failures
        self.invalid = invalid
        self.in_doubt = in_doubt
        self.on_too_long = on_too_long
        self.smart_encoding = smart_encoding
        self.max_wait = max_wait
        self.detailed = detailed
        self._stop: Stop | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Check all rows, then send them.

        :return: the summary, as plain JSON.
        :raises AirflowFailException: when a retry by Airflow could not send what was not sent.
        :raises AirflowException: when it could.
        """
        from airflow_provider_dialogtech.bulk.sender import messages_of

        stop = self._stop = Stop()
        failure: Exception
        try:
            compose = self._composer(context)
            rows = Rows.of(self.recipients)
            report = Report(rows, detailed=self.detailed)
            with pushing_summary(report, context["ti"] if self.do_xcom_push else None):
                checked = check_rows(rows, compose, stop.check)
                report.note_check(checked)
                if self.invalid == "fail":
                    checked.require_all_good()
                checked.log()
                self._send(messages_of(checked, compose, report, context), report, stop, context)
        except DialogTechError as error:
            failure = ending_of(error)
        except ListFailed as end:
            failure = ending_of_list(end, report)
        else:
            return report.summary()
        raise failure

    def on_kill(self) -> None:
        """Start no more messages; those that are out get a moment for their reply."""
        if self._stop is not None:
            self._stop.set()

    def _composer(self, context: Context) -> Callable[[Mapping[str, Any]], SmsMessage]:
        """Return what makes a row's values into a message."""
        return partial(
            RowTemplate(self, self.message, context).compose,
            number_of=self.hook.settings.contacts.number_of,
            from_numbers=self.hook.senders(self.from_),
            on_too_long=self.on_too_long,
            smart_encoding=self.smart_encoding,
        )

    def _send(self, messages: Iterator[RowMessage], report: Report, stop: Stop, context: Context) -> None:
        """Send all messages, and note what became of each, however it ends."""
        policy = FailurePolicy(self.max_failures, skip_invalid=self.invalid == "skip")
        progress = Progress(report, every=PROGRESS_SECONDS)
        bulk = self._sender(stop, context)
        try:
            for row, outcome in bulk.outcomes(messages, heartbeat=progress.log_when_due):
                report.note(row, outcome)
                policy.check_next(outcome)
        finally:
            for row, outcome in bulk.last_outcomes():
                report.note(row, outcome)
        log.info("%s", report.in_words())
        policy.check_end(report)

    def _sender(self, stop: Stop, context: Context) -> BulkSender:
        from airflow_provider_dialogtech.bulk.sender import BulkSender

        seconds = seconds_of(self.max_wait)
        return BulkSender(
            self.hook.make_sender(clock=Clock(sleep=stop.sleep)),
            stop,
            threads=MESSAGES_UNDER_WAY_PER_SLOT * self.hook.settings.limits.account_per_second,
            in_doubt=self.in_doubt,
            until=None if seconds is None else time.monotonic() + seconds,
            origin=origin_of(context),
        )
