"""A task that texts a list of people."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dialogtech._compat import AirflowException, AirflowFailException
from airflow_provider_dialogtech.bulk.report import Tally
from airflow_provider_dialogtech.exceptions import BadCredentials, DialogTechError, InvalidMessage
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.operators.pooled import PooledOperator
from airflow_provider_dialogtech.operators.task_failure import ending_of, log_ending
from airflow_provider_dialogtech.safe_repr import safe_repr, type_name
from airflow_provider_dialogtech.settings.arguments import check_choices, seconds_of
from airflow_provider_dialogtech.settings.idempotency import key_in, origin_of

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import Context
    from airflow_provider_dialogtech.bulk.rows import RecipientList
    from airflow_provider_dialogtech.bulk.sender import Text
    from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0
# Each text waits a second or so for its slot with its connection open, so the line stays full while replies take long.
TEXTS_UNDER_WAY_PER_SLOT = 3
_LOGGED = 20


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
    text. Pushed to XCom, also when the task fails: how many were sent, and which were not and why.

    :param recipients: numbers, or mappings with `to`, an optional `id` and values for the message: a list, or an XCom
        of one. The same recipient with different texts needs an `id` (an order number, say) in each row. (templated)
    :param message: what it says, at most 256 characters; or the path of a `.sms` file that says it. Rendered for each
        row, with the row as `recipient` beside Airflow's own variables; what is undefined makes a row bad.
    :param from_: the DialogTech number the texts leave from; by default any of the connection's `from_numbers`, the
        one whose slot comes first. (templated)
    :param max_failures: how many texts may fail before the task fails, after everybody has been tried.
    :param invalid: what to do with bad rows: `fail` before anything is sent, or `skip` them and report them.
    :param in_doubt: what to do with texts that may be out from an earlier try: `fail`, or `resend` and risk that they
        arrive twice.
    :param on_too_long: what to do with more than 256 characters: `fail`, or `truncate`.
    :param smart_encoding: replace typographic characters (curly quotes, dashes) when that saves segments.
    :param max_wait: for how many seconds (or which timedelta) at most to go on; a text that has no slot by then is not
        sent. By default as long as it takes.
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
            raise InvalidMessage(f"max_failures must be a whole number, not {safe_repr(max_failures)}", before_any=True)
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
        self._stop: threading.Event | None = None

    @cached_property
    def hook(self) -> DialogTechHook:
        """The hook of the task's connection."""
        return DialogTechHook(self.dialogtech_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Check all rows, then send them.

        :return: the summary, as plain JSON.
        :raises AirflowFailException: when a retry by Airflow could not send what was not sent.
        :raises AirflowException: when it could.
        """
        self._stop = threading.Event()
        try:
            recipients = self._listed(context)
        except DialogTechError as error:
            failure = ending_of(error)
        else:
            return self._text_all(recipients, context)
        raise failure

    def _text_all(self, recipients: RecipientList, context: Context) -> dict[str, Any]:
        """Text the rows, and push the summary however it ends."""
        tally = Tally(recipients, detailed=self.detailed)
        try:
            self._text(recipients, tally, context)
        except BaseException as end:
            self._push(tally, context)
            if not isinstance(end, Exception):  # Airflow 2 stops a task so
                log.warning("Stopped. %s", tally.who_failed())
            raise
        return tally.summary()

    def on_kill(self) -> None:
        """Start no more texts; those that are out get a moment for their reply."""
        if self._stop is not None:
            self._stop.set()

    def _listed(self, context: Context) -> RecipientList:
        """Return the rows, and what makes one of them into a text."""
        from airflow_provider_dialogtech.bulk.rows import RecipientList
        from airflow_provider_dialogtech.bulk.template import RowTemplate
        from airflow_provider_dialogtech.sms.message import SmsMessage

        template = RowTemplate(self, self.message, context)
        senders = self.hook.senders(self.from_)

        def compose(row: Mapping[str, Any]) -> SmsMessage:
            return SmsMessage.create(
                to=row.get("to"),
                message=template.render(row),
                from_numbers=senders,
                on_too_long=self.on_too_long,
                smart_encoding=self.smart_encoding,
            )

        return RecipientList.of(self.recipients, compose)

    def _text(self, recipients: RecipientList, tally: Tally, context: Context) -> None:
        """Check and send, and say for Airflow how it ended."""
        from airflow_provider_dialogtech.bulk.failure_policy import GivenUp
        from airflow_provider_dialogtech.bulk.sender import Stopped

        failure: Exception
        try:
            self._check(recipients)
            self._send_all(recipients, tally, context)
        except DialogTechError as error:
            failure = ending_of(error)
        except GivenUp as error:
            final = isinstance(error.last, BadCredentials)
            failure = _failure(f"Given up early. {error} The last reason: {error.last}\n", tally, final=final)
        except Stopped:
            failure = _failure("Stopped. ", tally, final=False)
        else:
            return self._judge(tally)
        raise failure

    def _check(self, recipients: RecipientList) -> None:
        recipients.check(before_each=self._go_on)
        if self.invalid == "fail":
            recipients.require_all_good()
        for row in recipients.bad[:_LOGGED]:
            log.warning("Skipping row %d (to %s): %s", row.index, row.to, row.problem)
        for remark in recipients.remarks:
            log.warning("%s", remark)
        log.info(
            "%d rows: %d texts (%d segments) to send, %d duplicates, %d bad rows skipped, %d texts with remarks.",
            len(recipients.rows),
            recipients.count,
            recipients.segments,
            recipients.duplicates,
            len(recipients.bad),
            recipients.remarked,
        )

    def _go_on(self) -> None:
        from airflow_provider_dialogtech.bulk.sender import Stopped

        if self._stop is not None and self._stop.is_set():
            raise Stopped

    def _send_all(self, recipients: RecipientList, tally: Tally, context: Context) -> None:
        from airflow_provider_dialogtech.bulk.failure_policy import Patience
        from airflow_provider_dialogtech.bulk.sender import BulkSender

        seconds = seconds_of(self.max_wait)
        bulk = BulkSender(self._stop or threading.Event())
        threads = TEXTS_UNDER_WAY_PER_SLOT * self.hook.settings.limits.account_per_second
        bulk.run(
            _texts(recipients, tally, context),
            self.hook.make_sender(pause=bulk.pause),
            threads=max(1, min(recipients.count, threads)),
            record=tally.note,
            judge=Patience(self.max_failures).judge,
            meanwhile=_every(PROGRESS_SECONDS, lambda: log.info("%s", tally.progress())),
            in_doubt=self.in_doubt,
            until=None if seconds is None else time.monotonic() + seconds,
            origin=origin_of(context),
        )
        log.info("%s", tally.in_words())

    def _judge(self, tally: Tally) -> None:
        # Bad rows that were to be skipped are no failures, also where they turn out to be bad only now.
        failures = [row for row in tally.failures if self.invalid == "fail" or row["outcome"] != "invalid"]
        if len(failures) > self.max_failures or tally.not_tried:
            raise _failure("", tally, final=tally.all_final)

    def _push(self, tally: Tally, context: Context) -> None:
        """Push the summary, which Airflow does only for a task that succeeds."""
        if not self.do_xcom_push:
            return
        try:
            context["ti"].xcom_push(key="return_value", value=tally.summary())
        except Exception:  # of any kind: Airflow may have taken the task for ended
            log.warning("The summary could not be pushed to XCom. %s", tally.in_words(), exc_info=True)


def _failure(beginning: str, tally: Tally, *, final: bool) -> Exception:
    """Log how the list ended, and return what the task raises: after its `except` block.

    :param final: whether a retry by Airflow would be in vain.
    """
    log_ending(f"{beginning}{tally.in_one_line()}")
    return (AirflowFailException if final else AirflowException)(f"{beginning}{tally.who_failed()}")


def _texts(recipients: RecipientList, tally: Tally, context: Context) -> Iterator[Text]:
    """Make the texts again, one by one; what turns out bad only now is counted."""
    from airflow_provider_dialogtech.bulk.sender import Text

    for row in recipients.to_send():
        try:
            message = recipients.text(row)
        except InvalidMessage as error:
            tally.note(row, error)
            continue
        row_id = recipients.id(row)
        yield Text(row, message, key_in(context, message.to, *([row_id] if row_id is not None else [])))


def _every(seconds: float, work: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does the work whenever so much time has gone by since it did so last."""
    last = time.monotonic()

    def maybe() -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            work()

    return maybe
