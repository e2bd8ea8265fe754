"""A message that is rendered for each row of a list."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech.api.errors import InvalidMessage
from airflow_provider_dialogtech.masking import mask_numbers

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import BaseOperator, Context


class RowTemplate:
    """A message, or the `.sms` file that holds it, compiled once.

    :param task: the task whose DAG has the template's folders, filters and macros.
    :param message: the template, or the path of its file.
    :param context: Airflow's variables, for the template.
    :raises InvalidMessage: when it is no template.
    """

    def __init__(self, task: BaseOperator, message: str, context: Context) -> None:
        import jinja2
        from jinja2.sandbox import SandboxedEnvironment

        dag = task.get_dag()
        # Never the native one: a text stays text. And what is undefined is a mistake in the row, not an empty string.
        environment = dag.get_template_env(force_sandboxed=True) if dag is not None else SandboxedEnvironment()
        environment = environment.overlay(undefined=jinja2.StrictUndefined)
        try:
            if message.endswith(tuple(task.template_ext)):
                self._template = environment.get_template(message)
            else:
                self._template = environment.from_string(message)
        except jinja2.TemplateError as error:
            words = mask_numbers(str(error))
            problem = f"Nothing was sent: `message` is no valid template ({type(error).__name__}: {words})."
        else:
            self._context = context
            return
        raise InvalidMessage(problem)

    def render(self, row: Mapping[str, Any]) -> str:
        """Return the text for a row.

        :raises InvalidMessage: when it cannot be rendered.
        """
        template = self._template
        environment = template.environment
        # As Airflow itself renders: without a copy of the context, whose old variables warn when they are read.
        variables: Any = ChainMap({"recipient": Recipient(row)}, self._context, template.globals)  # type: ignore[arg-type]
        context = environment.context_class(environment, variables, template.name, template.blocks)
        try:
            return "".join(template.root_render_func(context))
        except Exception as error:
            words = mask_numbers(str(error)).replace(_RECIPIENT_IN_JINJAS_WORDS, "recipient")[:_LONGEST_WORDS]
            problem = f"its message cannot be rendered ({type(error).__name__}: {words})."
        raise InvalidMessage(problem)


class Recipient:
    """A row's values by name, and nothing else: one may be called `items` or `count`, as a mapping's methods are.

    :param row: the row.
    """

    __slots__ = ("_row",)

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    def __getitem__(self, name: str) -> Any:
        return self._row[name]


_RECIPIENT_IN_JINJAS_WORDS = f"{Recipient.__module__}.{Recipient.__qualname__} object"
_LONGEST_WORDS = 150
