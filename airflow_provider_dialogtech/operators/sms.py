"""Tasks that text people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dialogtech._compat import AirflowFailException
from airflow_provider_dialogtech.api.errors import InDoubt, InvalidMessage, Refused
from airflow_provider_dialogtech.hooks.arguments import check_choices, seconds_of
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.hooks.keys import key_in
from airflow_provider_dialogtech.operators.pooled import PooledOperator

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import Context


class DialogTechSendSmsOperator(PooledOperator):
    """Text one person.

    .. code-block:: python

        DialogTechSendSmsOperator(
            task_id="text_the_owner",
            to="(555) 666-7777",
            message="The load of {{ ds }} is done.",
        )

    A task sends its text once per DAG run and recipient, however often it is retried or cleared. A text that may be
    out is not sent again; the task then fails and says so. Pushed to XCom: what became of the text, as plain JSON.

    :param to: the number it goes to, as people write it. (templated)
    :param message: what it says, at most 256 characters; or the path of a `.sms` file that says it. (templated)
    :param from_: the DialogTech number it leaves from; by default any of the connection's `from_numbers`. (templated)
    :param idempotency_key: under one key a text goes out once; by default once per task, recipient and DAG run.
        To send a text again, give it another key. (templated)
    :param in_doubt: what to do when the text may be out from an earlier try: `fail`, or `resend` and risk that it
        arrives twice.
    :param on_too_long: what to do with more than 256 characters: `fail`, or `truncate`.
    :param smart_encoding: replace typographic characters (curly quotes, dashes) when that saves segments.
    :param max_wait: for how many seconds (or which timedelta) at most to wait for a slot; by default as long as it
        takes.
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

    @cached_property
    def hook(self) -> DialogTechHook:
        """The hook of the task's connection."""
        return DialogTechHook(self.dialogtech_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Send the text.

        :return: what became of it, as plain JSON.
        :raises AirflowFailException: when a retry by Airflow could not send it, or could send it twice.
        """
        try:
            return self._send(context)
        except (InvalidMessage, Refused, InDoubt) as error:
            raise AirflowFailException(str(error)) from error

    def _send(self, context: Context) -> dict[str, Any]:
        from airflow_provider_dialogtech.sms.message import normalize_number

        return self.hook.send_sms(
            to=self.to,
            message=self.message,
            from_=self.from_,
            idempotency_key=self.idempotency_key or key_in(context, normalize_number(self.to, "to")),
            in_doubt=self.in_doubt,
            on_too_long=self.on_too_long,
            smart_encoding=self.smart_encoding,
            max_wait=self.max_wait,
        ).as_xcom()
