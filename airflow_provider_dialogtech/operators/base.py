"""The operators' common parts: the default pool, the link to a task's messages, and the errors of a task."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import cached_property
from textwrap import fill
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError, UndefinedError
from jinja2.nativetypes import NativeEnvironment

from airflow_provider_dialogtech._compat import (
    HAS_PAGES,
    AirflowFailException,
    BaseOperator,
    BaseOperatorLink,
    OperatorPartial,
)
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, InvalidConnection, InvalidMessage, Refused
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.masking import mask_numbers, type_name
from airflow_provider_dialogtech.settings.config import HOURS, page_path, pool_of
from airflow_provider_dialogtech.settings.templates import (
    UNDEFINED,
    WITH_A_DATE,
    BadPiece,
    compiled,
    environment_of,
    in_single_braces,
    is_mistaken_for_reference,
    is_plain,
    plain_text_of,
    template_of,
    value_of,
    yields_values,
)

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import Context

log = logging.getLogger(__name__)


class MessagesLink(BaseOperatorLink):
    """Links a task instance to its messages on the page "Messages"."""

    name = "Messages"

    def get_link(self, operator: BaseOperator, *, ti_key: object) -> str:  # noqa: ARG002
        """Return the page's URL.

        :param ti_key: the key of the task instance.
        """
        filters = {name: str(getattr(ti_key, name)) for name in ("dag_id", "run_id", "task_id")}
        return page_path(**filters, hours=str(HOURS))


LINKS = (MessagesLink(),) if HAS_PAGES else ()

DEFAULT_CONN_ID = "dialogtech_default"
# The templated arguments, which render to strings, and the one that may render to any value.
_TEXTS = ("to", "message", "from_", "idempotency_key", "dialogtech_conn_id")
_VALUE = "recipients"
# Those of a decorated function.
_ARGUMENTS = ("op_args", "op_kwargs")


class PooledOperator(BaseOperator):
    """A task that sends through a DialogTech connection, by default in the connection's pool.

    :param dialogtech_conn_id: the connection. (templated)
    :param pool: the pool. By default the pool with the connection's name if `[dialogtech] conn_ids` lists the
        connection, else Airflow's default pool.
    """

    operator_extra_links = LINKS

    # `pool` is named here so that Airflow passes a pool from `default_args`, which then takes precedence.
    def __init__(self, *, dialogtech_conn_id: str = DEFAULT_CONN_ID, pool: str | None = None, **kwargs: Any) -> None:
        super().__init__(pool=pool or pool_of(dialogtech_conn_id), **kwargs)
        self.dialogtech_conn_id = dialogtech_conn_id
        policy = getattr(self, "retry_policy", None)
        if policy is not None and (isinstance(policy, type) or not hasattr(policy, "evaluate")):
            raise InvalidMessage(
                f"retry_policy must be a policy, not a {type_name(policy)}",
                advice="Write DialogTechRetryPolicy(), with its parentheses. A YAML DAG cannot set one.",
                before_any=True,
            )

    @cached_property
    def hook(self) -> DialogTechHook:
        """The hook of the task's connection."""
        return DialogTechHook(self.dialogtech_conn_id)

    def resolve_template_files(self) -> None:
        """Leave the file of `message` to rendering. Airflow would take any argument that ends in `.sms` for a file."""
        self.prepare_template()

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Render a template or a collection of them. What `environment_of` renders is never read as Python."""
        if is_mistaken_for_reference(content):
            return content
        if yields_values(jinja_env):
            if is_plain(content, jinja_env):
                return content
            if isinstance(content, str) and id(content) not in (seen_oids or ()):
                return value_of(compiled(jinja_env, content), context)
        return super().render_template(content, context, jinja_env, seen_oids)

    # Airflow renders both a task and an instance of a mapped task with this method.
    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        own = environment_of(self)
        # A function's argument may also be a phone number.
        as_values = (*_TEXTS, _VALUE, *(_ARGUMENTS if isinstance(jinja_env, NativeEnvironment) else ()))
        for name in template_fields:
            given = getattr(parent, name, None)
            try:
                if parent is self and name in _TEXTS and isinstance(given, str) and id(given) not in seen_oids:
                    setattr(self, name, self._rendered(name, given, context, own))
                else:
                    environment = own if parent is self and name in as_values else jinja_env
                    super()._do_render_template_fields(parent, [name], context, environment, seen_oids)
                continue
            except InvalidMessage as error:
                problem = error
            except BadPiece as error:
                problem = InvalidMessage(f"in the template of `{name}`, {error.message}", advice=error.advice)
            except Exception as error:
                # Only Jinja's own errors quote no values.
                words = f": {mask_numbers(str(error))}" if isinstance(error, TemplateError) else ""
                reason = f"the template of `{name}` cannot be rendered ({type_name(error)}{words})"
                log.error("Nothing was sent: %s. %s", reason, _advice(error))  # noqa: TRY400
                raise
            raise ending_of(problem)

    def _rendered(self, name: str, given: str, context: Context, environment: Any) -> str | None:
        """Return a rendered argument: a text, or None where its whole template is None."""
        is_message = name == "message"
        if is_message and (problem := in_single_braces(given, context.__contains__)):
            raise InvalidMessage(f"`message` {problem}")
        template = template_of(environment, given, self.template_ext if is_message else ())
        value = value_of(template, context, plain_text_of)
        return None if value is None else plain_text_of(value)

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Begin a mapped task. Its pool is set here, because Airflow creates the operator only when the task runs.

        A task mapped over connections gets the default connection's pool. Set `pool` to change it.
        """
        partial = super().partial(**kwargs)
        if pool := default_pool(partial.kwargs["dag"], partial.kwargs["task_group"], kwargs):
            partial.kwargs["pool"] = pool
        return partial


def default_pool(dag: Any, group: Any, kwargs: Mapping[str, Any]) -> str | None:
    """Return the default pool of a mapped task; None where a pool is set, or where Airflow's default applies."""
    layers = (dag and dag.default_args, group and group.default_args, kwargs.get("default_args"), kwargs)
    given = {name: value for layer in layers for name, value in (layer or {}).items()}
    return None if given.get("pool") else pool_of(given.get("dialogtech_conn_id", DEFAULT_CONN_ID))


# A retry would fail again, or could send a message twice, so the task is not retried.
_FINAL = (InvalidMessage, InvalidConnection, Refused, InDoubt)
_AGAIN = "Then clear the task."
# Airflow's log page does not wrap lines. A laptop's window shows this many characters beside the list of tasks.
WIDTH = 90


def ending_of(error: DialogTechError) -> Exception:
    """Log the outcome, and return the error for the task to raise, after its `except` block for a short traceback.

    :param error: the error of the message.
    """
    if isinstance(error, _FINAL):
        sentence = f"{error} {_AGAIN}"
        log_ending(sentence)
        return AirflowFailException(sentence)
    log_ending(str(error))
    # Raised as it is: an alert names its type. Its frames are internal to the package.
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def log_ending(sentence: str) -> None:
    """Log a task's error, wrapped to lines that fit the log page."""
    log.error("%s", fill(sentence, WIDTH, break_long_words=False, break_on_hyphens=False))


def _advice(error: Exception) -> str:
    """Return how to correct a template that cannot be rendered."""
    found = UNDEFINED.search(error.message or "") if isinstance(error, UndefinedError) else None
    if found is None or found[1] not in WITH_A_DATE:
        return "Correct the template."
    return "A run that was triggered by hand has no such date: use (dag_run.logical_date or dag_run.run_after)."
