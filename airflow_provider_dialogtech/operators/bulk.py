"""A task that texts a list of people."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dialogtech._compat import AirflowException, AirflowFailException
from airflow_provider_dialogtech.api.errors import BadCredentials, InvalidMessage
from airflow_provider_dialogtech.hooks.arguments import check_choices
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.hooks.keys import key_in
from airflow_provider_dialogtech.operators.pooled import PooledOperator
from airflow_provider_dialogtech.operators.tally import Tally

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import Context
    from airflow_provider_dialogtech.delivery.bulk import BulkSender
    from airflow_provider_dialogtech.delivery.result import SendResult
    from airflow_provider_dialogtech.sms.message import SmsMessage
    from airflow_provider_dialogtech.sms.recipients import RecipientList

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0
# Each text waits a second or so for its slot with its connection open, so the line stays full while replies take long.
TEXTS_UNDER_WAY_PER_SLOT = 3


class DialogTechSendBulkSmsOperator(PooledOperator):
    """Text a list of people, each once.

    .. code-block:: python

        DialogTechSendBulkSmsOperator(
            task_id="remind_customers",
            recipients=[{"to": "(555) 666-7777", "name": "Ada"}, {"to": "(555) 666-8888", "name": "Grace"}],
            message="Hi {{ recipient.name }}, we see you on {{ ds }}.",
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
        detailed: bool = False,
        **kwargs: Any,
    ) -> None:
        check_choices(in_doubt=in_doubt, on_too_long=on_too_long, invalid=invalid)
        super().__init__(**kwargs)
        self.recipients = recipients
        self.message = message
        self.from_ = from_
        self.max_failures = max_failures
        self.invalid = invalid
        self.in_doubt = in_doubt
        self.on_too_long = on_too_long
        self.smart_encoding = smart_encoding
        self.detailed = detailed
        self._bulk: BulkSender[int] | None = None

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
        recipients = self._checked_recipients(context)
        tally = Tally(recipients, detailed=self.detailed)
        try:
            self._send_all(recipients, tally, context)
            log.info("%s", tally.in_words())
            self._judge(tally)
        except BaseException:
            # Airflow pushes what a task returns only when it succeeds.
            context["ti"].xcom_push(key="return_value", value=tally.summary())
            raise
        return tally.summary()

    def on_kill(self) -> None:
        """Start no more texts; those that are out get a moment for their reply."""
        if self._bulk is not None:
            self._bulk.stop()

    def _checked_recipients(self, context: Context) -> RecipientList:
        from airflow_provider_dialogtech.sms.recipients import RecipientList

        try:
            recipients = RecipientList.of(self.recipients, self._composer(context))
            recipients.check()
            if self.invalid == "fail":
                recipients.require_all_good()
        except InvalidMessage as error:
            raise AirflowFailException(str(error)) from error
        for row in recipients.bad[:20]:
            log.warning("Skipping row %d (to %s): %s", row.index, row.to, row.problem)
        return recipients

    def _composer(self, context: Context) -> Callable[[Mapping[str, Any]], SmsMessage]:
        """Return what makes a row into a text."""
        from airflow_provider_dialogtech.operators.rendering import RowTemplate
        from airflow_provider_dialogtech.sms.message import SmsMessage

        template = RowTemplate(self, self.message, context)
        senders = (self.from_,) if self.from_ else self.hook.settings.from_numbers

        def compose(row: Mapping[str, Any]) -> SmsMessage:
            return SmsMessage.create(
                to=row.get("to"),
                message=template.render(row),
                from_numbers=senders,
                on_too_long=self.on_too_long,
                smart_encoding=self.smart_encoding,
            )

        return compose

    def _send_all(self, recipients: RecipientList, tally: Tally, context: Context) -> None:
        from airflow_provider_dialogtech.delivery.bulk import BulkSender

        rendering = threading.Lock()  # Airflow's context is made for one thread

        def send(index: int) -> SendResult:
            with rendering:
                message = recipients.text(index)
            row_id = recipients.id(index)
            key = key_in(context, message.to, *([row_id] if row_id is not None else []))
            return sender.send(message, key=key, in_doubt=self.in_doubt)

        threads = min(recipients.count, TEXTS_UNDER_WAY_PER_SLOT * self.hook.settings.limits.account_per_second)
        bulk: BulkSender[int] = BulkSender(threads)
        self._bulk = bulk
        sender = self.hook.make_sender(pause=bulk.pause)
        for done in bulk.run(recipients.to_send(), send, abort=sender.abort, tick=PROGRESS_SECONDS):
            if done is None:
                log.info("%s", tally.progress())
                continue
            tally.note(*done)
            if tally.hopeless is not None:
                bulk.stop()

    def _judge(self, tally: Tally) -> None:
        if tally.hopeless is not None:
            no_retry_helps = isinstance(tally.hopeless, BadCredentials)
            words = f"Given up early. {tally.in_words()} The last reason: {tally.hopeless} A retry goes on from here."
        elif tally.not_tried:
            no_retry_helps = False
            words = f"Stopped. {tally.in_words()} A retry goes on from here."
        elif len(tally.failures) > self.max_failures:
            no_retry_helps = tally.all_final
            words = tally.who_failed()
        else:
            return
        raise (AirflowFailException if no_retry_helps else AirflowException)(words)
