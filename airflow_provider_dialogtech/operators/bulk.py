"""A task that sends a message to each recipient of a list."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dialogtech._compat import AirflowException, AirflowFailException
from airflow_provider_dialogtech.bulk.failure_policy import FailurePolicy, ListFailed
from airflow_provider_dialogtech.bulk.report import Progress, Report
from airflow_provider_dialogtech.bulk.rows import Rows, check_rows
from airflow_provider_dialogtech.bulk.sender import BulkSender, RowMessage, Stop, messages_of
from airflow_provider_dialogtech.bulk.template import RowTemplate
from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidMessage
from airflow_provider_dialogtech.hooks.dialogtech import check_choices, check_flags, seconds_of
from airflow_provider_dialogtech.masking import safe_repr, type_name
from airflow_provider_dialogtech.operators.base import PooledOperator, ending_of, log_ending
from airflow_provider_dialogtech.operators.yaml_dags import require_quoted_numbers
from airflow_provider_dialogtech.settings.identity import origin_of
from airflow_provider_dialogtech.sms.message import SmsMessage

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import Context

__all__ = ["DialogTechSendBulkSmsOperator"]

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0
# Each message waits about a second for its slot with its connection open. One process can use no more than sixteen at a
# time: further ones only wait longer, and the journal plans around all of them.
WAITING_PER_SLOT, MOST_WAITING = 3, 16
# With this many threads, every slot is used even if replies take nine seconds.
THREADS_PER_SLOT, MOST_THREADS = 12, 96


class DialogTechSendBulkSmsOperator(PooledOperator):
    """Send a message to each recipient of a list, once.

    .. code-block:: python

        DialogTechSendBulkSmsOperator(
            task_id="remind_customers",
            recipients=[
                {"to": "(555) 666-7777", "name": "Ada", "when": "at 9"},
                {"to": "(555) 666-8888", "name": "Grace", "when": "at 10"},
            ],
            message="Hi {{ recipient.name }}, we see you {{ recipient.when }}.",
        )

    One task uses all of the account's slots. A retried, cleared or killed task sends only the messages that were not
    sent. It pushes to XCom, even when it fails, how many messages were sent, which were not, and why.

    :param recipients: a list, or an XCom of one, of numbers, contacts, or mappings with `to`, an optional `id` and the
        row's values for `message`; or a data frame. Rows with the same recipient and different messages each need an
        `id`, such as an order number. (templated)
    :param message: the body, at most 256 characters, or the path of a `.sms` file with it. It is rendered for each row,
        with the row as `recipient` beside Airflow's variables. An undefined or missing value makes the row invalid.
    :param from_: the DialogTech number to send from; by default that of the connection's `from_numbers` with the
        earliest slot. (templated)
    :param max_failures: how many messages may fail without failing the task, which fails after all were tried.
    :param invalid: what to do with invalid rows: `fail` before anything is sent, or `skip` and report them. A list
        without a valid row fails.
    :param in_doubt: what to do with messages that an earlier try may have sent: `fail`, or `resend` and risk that they
        arrive twice.
    :param on_too_long: what to do with more than 256 characters: `fail`, or `truncate`.
    :param smart_encoding: replace typographic characters (curly quotes, dashes) where that saves segments.
    :param max_wait: the longest time that the list may take, as a timedelta or in seconds; a message without a slot by
        then is not sent. By default unlimited.
    :param detailed: push the outcome of every row, not only of those that were not sent.
    :param dialogtech_conn_id: the connection of type `dialogtech`. (templated)
    :param pool: the pool. By default the pool with the connection's name if `[dialogtech] conn_ids` lists the
        connection, else Airflow's default pool.
    :raises InvalidMessage: when `message`, `max_failures`, `max_wait`, a flag or one of the choices is invalid.
    """

    # Without `message`, which is rendered for each row.
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
        check_flags(smart_encoding=smart_encoding, detailed=detailed)
        seconds_of(max_wait)
        if isinstance(max_failures, bool) or not isinstance(max_failures, int) or max_failures < 0:
            raise InvalidMessage(
                f"max_failures must be a whole number of at least 0, not {safe_repr(max_failures)}", before_any=True
            )
        if not isinstance(message, str):
            raise InvalidMessage(
                f"message must be a string, not a {type_name(message)}",
                advice="Put another task's result into a row's values, or into the template: {{ ti.xcom_pull('…') }}.",
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
        """Check all rows, then send their messages.

        :param context: the task's context.
        :return: the summary, as plain JSON.
        :raises AirflowFailException: when the task failed, and a retry could not send the rest.
        :raises AirflowException: when the task failed, and a retry may send the rest.
        """
        stop = self._stop = Stop()
        failure: Exception
        try:
            require_quoted_numbers(self)
            compose = self._composer(context)
            rows = Rows.of(self.recipients)
            rows.require_columns()
            report = Report(rows, detailed=self.detailed)
            with _pushing_summary(report, context["ti"] if self.do_xcom_push else None):
                checked = check_rows(rows, compose, stop.check)
                report.note_check(checked)
                if self.invalid == "fail" or not checked.count:
                    checked.require_all_good()
                checked.log()
                self._send(messages_of(checked, compose, report, context), report, stop, context)
        except DialogTechError as error:
            failure = ending_of(error)
        except ListFailed as end:
            log_ending(f"{end}{report.in_one_line()}")
            failure = (AirflowFailException if end.final else AirflowException)(f"{end}{report.in_lines()}")
        else:
            return report.summary()
        raise failure

    def on_kill(self) -> None:
        """Start no more messages. Requests under way get a few seconds for their reply."""
        if self._stop is not None:
            self._stop.set()

    def _composer(self, context: Context) -> Callable[[Mapping[str, Any]], SmsMessage]:
        """Return the function that makes a row's values a message."""
        client = self.hook.get_conn()
        compose = partial(
            RowTemplate(self, self.message, context).compose,
            number_of=self.hook.settings.contacts.number_of,
            from_numbers=self.hook.senders(self.from_),
            on_too_long=self.on_too_long,
            smart_encoding=self.smart_encoding,
        )

        def checked(row: Mapping[str, Any]) -> SmsMessage:
            message = compose(row)
            client.refuse_own_secret(message.whole)
            return message

        return checked

    def _send(self, messages: Iterator[RowMessage], report: Report, stop: Stop, context: Context) -> None:
        """Send all messages, and note the outcome of each, even when it raises."""
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
        seconds = seconds_of(self.max_wait)
        per_second = self.hook.settings.limits.account_per_second
        return BulkSender(
            self.hook.make_sender(clock=Clock(sleep=stop.sleep)),
            stop,
            threads=min(THREADS_PER_SLOT * per_second, MOST_THREADS),
            waiting=min(WAITING_PER_SLOT * per_second, MOST_WAITING),
            in_doubt=self.in_doubt,
            until=None if seconds is None else time.monotonic() + seconds,
            origin=origin_of(context),
        )


@contextmanager
def _pushing_summary(report: Report, ti: Any) -> Iterator[None]:
    """Push the summary of a list to XCom when its task fails. Airflow pushes only the result of a successful task.

    :param report: the outcome of each row.
    :param ti: the running task instance; None to push nothing.
    """
    try:
        yield
    except BaseException as end:
        try:
            if ti is not None:
                ti.xcom_push(key="return_value", value=report.summary())
        except Exception:  # of any kind: Airflow may have marked the task as ended
            log.warning("The summary could not be pushed to XCom. %s", report.in_words(), exc_info=True)
        if not isinstance(end, Exception):  # Airflow 2 stops a task this way
            log.warning("Stopped. %s", report.in_lines())
        raise
