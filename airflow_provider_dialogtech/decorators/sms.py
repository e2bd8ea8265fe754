"""`@task.dialogtech_sms`: a task that sends the message that a function returns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_dialogtech._compat import (
    Context,
    DecoratedOperator,
    TaskDecorator,
    _TaskDecorator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)
from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import opaque, without_locals
from airflow_provider_dialogtech.operators.base import default_pool
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

_PARTS = {"to", "message"}


class DialogTechSmsDecoratedOperator(DecoratedOperator, DialogTechSendSmsOperator):
    """Sends the message that a function returns. `@task.dialogtech_sms` creates it.

    :param python_callable: the function. It returns the body, or a mapping with `to` and `message`.
    :param op_args: its positional arguments. (templated)
    :param op_kwargs: its keyword arguments. (templated)
    :param to: the recipient's number or contact, unless the function returns one. (templated)
    :param kwargs: the arguments of `DialogTechSendSmsOperator`, except `message`.
    """

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *(field for field in DialogTechSendSmsOperator.template_fields if field != "message"),
    )
    # Neither the function's arguments nor its result is the name of a file.
    template_ext: Sequence[str] = ()
    template_fields_renderers: ClassVar[dict[str, str]] = {**DecoratedOperator.template_fields_renderers}
    custom_operator_name: str = "@task.dialogtech_sms"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        to: str = "",
        **kwargs: Any,
    ) -> None:
        # The task returns one result, whatever Airflow infers from the function's annotation.
        kwargs["multiple_outputs"] = False
        super().__init__(
            python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, to=to, message="", **kwargs
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Call the function, and send the message. Airflow 3.0's own `execute` reads attributes that operators lack.

        :param context: the task's context.
        :return: the outcome, as plain JSON.
        """
        return DialogTechSendSmsOperator.execute(self, context)

    def _send(self, context: Context, max_wait: float | None) -> dict[str, Any]:
        # A deferred task calls the function again when it resumes: the message is not stored.
        self._take(self._call(context))
        return super()._send(context, max_wait)

    def _call(self, context: Context) -> Any:
        context_merge(context, self.op_kwargs)
        arguments = determine_kwargs(self.python_callable, self.op_args, context)
        return self.python_callable(*self.op_args, **arguments)

    @without_locals
    def _take(self, returned: Any) -> None:
        """Read the message from the function's result. It is not rendered, because it may hold untrusted input."""
        if not isinstance(returned, Mapping):
            self.message = opaque(returned)
            return
        if set(returned) - _PARTS or "message" not in returned:
            raise InvalidMessage(
                "the function must return the message, or a mapping with `to` and `message` and nothing else",
                advice="Correct the function.",
            )
        self.message = opaque(returned["message"])
        if "to" in returned:
            self.to = opaque(returned["to"])


class _PooledTaskDecorator(_TaskDecorator):  # type: ignore[type-arg]
    """Gives a mapped task its default pool: Airflow creates its operator only when it runs."""

    def _expand(self, expand_input: Any, *, strict: bool) -> Any:
        mapped: Any = super()._expand(expand_input, strict=strict)
        operator: Any = mapped.operator
        if pool := default_pool(operator.dag, operator.task_group, self.kwargs):
            operator.partial_kwargs["pool"] = pool
        return mapped


def dialogtech_sms_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a task of a function that returns the message to send.

    .. code-block:: python

        @task.dialogtech_sms(to="(555) 666-7777")
        def notify_the_owner(rows: int) -> str:
            return f"{rows} rows were loaded."

    :param python_callable: the function. It returns the body, or a mapping with `to` and `message`. Templates in its
        result are not rendered.
    :param kwargs: the arguments of `DialogTechSendSmsOperator`, except `message`.
    """

    def decorated(function: Callable[..., Any]) -> Any:
        decorator: Any = task_decorator_factory(
            python_callable=function, decorated_operator_class=DialogTechSmsDecoratedOperator, **kwargs
        )
        decorator.__class__ = _PooledTaskDecorator
        return decorator

    made: TaskDecorator = decorated if python_callable is None else decorated(python_callable)  # type: ignore[assignment]
    return made
