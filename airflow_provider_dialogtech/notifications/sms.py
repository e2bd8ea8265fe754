"""A callback that sends alerts."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import timedelta
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech._compat import BaseNotifier, in_thread
from airflow_provider_dialogtech.alerts.alert import FAILURE_RESOLVED_BY, Alert, identity_of_failed_run, recovery_alert
from airflow_provider_dialogtech.alerts.event import EVENTS, event_of
from airflow_provider_dialogtech.alerts.failed_run import failed_run_body
from airflow_provider_dialogtech.alerts.question import answer_link, question_body, question_key
from airflow_provider_dialogtech.alerts.text import built_in_body, dag_id_of, identity_of, subject_of
from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidMessage, plural
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook, check_flags
from airflow_provider_dialogtech.masking import clean, place_of, safe_repr, safe_str, type_name
from airflow_provider_dialogtech.settings.identity import origin_of
from airflow_provider_dialogtech.settings.templates import is_mistaken_for_reference
from airflow_provider_dialogtech.sms.message import LONGEST_READ
from airflow_provider_dialogtech.sms.missing import is_missing

if TYPE_CHECKING:
    import jinja2

    from airflow_provider_dialogtech._compat import Context

__all__ = ["DialogTechSmsNotifier", "send_dialogtech_sms_notification"]

log = logging.getLogger(__name__)

# A cooldown is added to a time, which must not pass the year 9999.
LONGEST_COOLDOWN = timedelta(days=3650)
# Each recipient's message must be sent within the time of a callback.
MOST_RECIPIENTS = 100

_LONGEST_LIST = 10_000
_SLA_ARGUMENTS = ("dag", "task_list", "blocking_task_list", "slas", "blocking_tis")
# Every context of a callback has one of them.
_IN_A_CONTEXT = {"ti", "dag", "dag_run"}

# What Python and pandas write for no value.
_NOTHING = frozenset({"None", "nan", "NaT", "<NA>"})


class DialogTechSmsNotifier(BaseNotifier):
    """Send an alert about a task or a DAG, at most one message per recipient and cooldown.

    .. code-block:: python

        @dag(default_args={"on_failure_callback": DialogTechSmsNotifier(to="(555) 666-7777")})

    It works as any callback of a task or a DAG, and (Airflow 3.1) as a deadline alert's `AsyncCallback`. It never
    raises, takes at most 45 seconds (less where Airflow allows less), and logs the outcome of each message. Several
    tasks may share one instance. `send_dialogtech_sms_notification` is another name for it. The class itself, without
    parentheses, is a callback with the default arguments.

    :param message: the body, or a function that returns it from the context; by default what happened, to what, when,
        in which run, at which try, and why. A body that is too long is cut. (templated)
    :param to: the recipients' numbers and contacts: one, several separated by commas, or a list; by default the
        connection's `alert_to`. (templated)
    :param dialogtech_conn_id: the connection of type `dialogtech`. (templated)
    :param dedup_key: alerts with the same key are suppressed during the cooldown; by default the DAG, the event and the
        template of `message`. (templated)
    :param event: what happened, for a notifier that is not called as a callback: `failed`, `retry`, `success`,
        `skipped`, `execute`, `asked`, `dag_failed`, `dag_success`, `deadline` or `sla`. By default it is inferred from
        the context.
    :param cooldown: how long a recipient gets no other alert with this dedup key, as a timedelta or in seconds, at most
        ten years; the next message says how many were suppressed. None suppresses none.
    :param resolved: as a success callback, send only that failures are over: once, and only to recipients of an alert
        about one of them under the same dedup key, by default that of the failures. It does not change other events.
    :raises InvalidMessage: when `event` is unknown, `cooldown` is invalid or out of range, or `resolved` is not a bool.
    """

    template_fields: Sequence[str] = ("message", "to", "dialogtech_conn_id", "dedup_key")
    called_as: type | None = None
    """The class, where Airflow called it instead of an instance."""

    def __init__(
        self,
        message: str | Callable[..., str] | None = None,
        to: str | int | Sequence[str | int] | None = None,
        *,
        dialogtech_conn_id: str = DialogTechHook.default_conn_name,
        dedup_key: str | None = None,
        event: str | None = None,
        cooldown: timedelta | float | None = timedelta(minutes=15),
        resolved: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)  # takes the context from Airflow 3.1 on
        if event is not None and not (isinstance(event, str) and event in EVENTS):
            raise InvalidMessage(f"event must be one of {', '.join(EVENTS)}, not {safe_repr(event)}", before_any=True)
        if not (message is None or callable(message) or _is_text(message)):
            raise InvalidMessage(
                f"message must be text, a template or a function that returns text, not a {type_name(message)}",
                before_any=True,
            )
        check_flags(resolved=resolved)
        self.message = message
        self.to = to
        self.dialogtech_conn_id = dialogtech_conn_id
        self.dedup_key = dedup_key
        self.event = event
        self.cooldown = _cooldown(cooldown)
        self.resolved = resolved

    if not TYPE_CHECKING:

        @wraps(__init__, assigned=())
        def __new__(cls, *args, **kwargs):
            """Create a notifier. Called with a context, as a callback without parentheses is, send the alert."""
            own, context = _split(args)
            if context is None:
                return super().__new__(cls)
            notifier = cls(*own, **kwargs)
            notifier.called_as = cls
            return notifier.notify(context)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Send the alert. Unlike the base class, it does not write the template fields into the context.

        :param args: the context, or the five arguments of Airflow 2's SLA callback.
        :param kwargs: the context, where a function passes its own on: `notifier(**context)`.
        """
        self.notify(_split(args)[1] or next(iter(args), kwargs.get("context", kwargs)))

    def __await__(self) -> Generator[Any, Any, None]:
        """Send the alert from an event loop, about the context that the constructor was given."""
        return self.async_notify(self.context).__await__()

    def notify(self, context: Context) -> None:
        """Send the alert.

        :param context: the callback's context.
        """
        try:
            _Rendered(self, context).deliver()
        except Exception as error:
            _log_failure(error)

    async def async_notify(self, context: Context) -> None:
        """Send the alert without blocking the event loop.

        :param context: the callback's context.
        """
        try:
            rendered = _Rendered(self, context)
            if rendered.alert is not None:
                await rendered.hook.aload()
                await in_thread(rendered.deliver)
        except Exception as error:
            _log_failure(error)

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """Render a template or a collection of them."""
        return content if is_mistaken_for_reference(content) else super().render_template(content, *args, **kwargs)

    def _render(self, template: jinja2.Template, context: Context, dag: Any = None) -> Any:  # noqa: ARG002
        # Without the DAG, so that it renders to a string: native rendering would strip the + of a phone number.
        return super(BaseNotifier, self)._render(template, context, None)


send_dialogtech_sms_notification = DialogTechSmsNotifier
"""Another name for `DialogTechSmsNotifier`, as the notifiers of other providers have one."""


class FailedRunNotifier(DialogTechSmsNotifier):
    """The notifier of `alert_on = dag_failed`. It skips recipients who got another alert about the same run.

    :param dialogtech_conn_id: the connection of type `dialogtech`.
    """

    def __init__(self, dialogtech_conn_id: str) -> None:
        super().__init__(dialogtech_conn_id=dialogtech_conn_id, event="dag_failed")


class _Rendered:
    """A notifier's fields, rendered for one context. The notifier is not changed, because tasks may share it."""

    def __init__(self, notifier: DialogTechSmsNotifier, context: Context) -> None:
        self._notifier = notifier
        self._context = context
        self.hook = DialogTechHook(self._conn_id())
        self.recipients = self._recipients()
        self.alert = self._alert()

    def deliver(self) -> None:
        """Deliver the alert, if the context calls for one."""
        from airflow_provider_dialogtech.alerts.deliver import deliver

        if self.alert is not None:
            deliver(self.alert, self.recipients or self.hook.settings.alert_to, self.hook, self._context)

    def _conn_id(self) -> str:
        rendered = self._render_or_log("dialogtech_conn_id", str, "it is used as it is")
        conn_id = self._notifier.dialogtech_conn_id if rendered is None else rendered
        # No argument, or a template that is None, is the default connection, as in an operator.
        return DialogTechHook.default_conn_name if is_missing(conn_id) else str(conn_id)

    def _alert(self) -> Alert | None:
        try:
            return self._alert_of_context()
        except Exception as error:
            # The alert is sent whatever the context holds.
            name = type_name(error)
            log.error(  # noqa: TRY400
                "The context of an alert cannot be read (%s); the alert is sent without details.", place_of(error)
            )
        return Alert(
            subject="a task or DAG",
            body=f"Airflow: a task or DAG called for an alert, but its details cannot be read ({name})",
            built_in=True,
            note="",
            dedup_key=json.dumps(["unreadable", _identity(self._notifier.message)]),
            cooldown=self._notifier.cooldown,
        )

    def _alert_of_context(self) -> Alert | None:
        event = self._notifier.event or event_of(self._context, self._notifier.called_as or self._notifier)
        if self._notifier.resolved and event == "skipped":
            return None  # on 2.11 a skipped task calls its success callbacks too
        body, note = self._body()
        given = self._given_key()
        if self._notifier.resolved and event in FAILURE_RESOLVED_BY:
            return recovery_alert(event, self._context, body=body, note=note, given_key=given)
        is_question = event == "asked" and not body
        return Alert(
            subject=f"{subject_of(event, self._context)} ({event})",
            body=body or self._built_in(event)(self._context),
            # A question may take two segments, because its link is not cut.
            built_in=not body and not is_question,
            note=note + (answer_link(self._context) if is_question else ""),
            dedup_key=given or self._default_key(event),
            cooldown=self._notifier.cooldown,
            origin=origin_of(self._context),
            about=identity_of(event, self._context),
            run=identity_of_failed_run(event, self._context),
            is_whole_run=event == "dag_failed",
            once_per_run=self._is_about_run,
        )

    @property
    def _is_about_run(self) -> bool:
        return isinstance(self._notifier, FailedRunNotifier)

    def _built_in(self, event: str) -> Callable[[Mapping[str, Any]], str]:
        if self._is_about_run:
            return failed_run_body
        return question_body if event == "asked" else partial(built_in_body, event)

    def _body(self) -> tuple[str, str]:
        """Return the body, empty for the built-in one, and a note where its template or function failed."""
        if self._notifier.message is None:
            return "", ""
        kind = "function" if callable(self._notifier.message) else "template"
        try:
            written = self._render("message")
            if _is_text(written):
                body = str(written).strip()[:LONGEST_READ]
                # A body of invisible characters alone is not sendable, and a template that is None says nothing.
                is_nothing = body in _NOTHING and written != self._notifier.message
                return ("" if is_nothing or not clean(body) else body), ""
            # As every notifier's, a template that is a function may return anything.
            name, problem = type_name(written), f"returned a {type_name(written)}, not text"
        except Exception as error:
            # Only the type: the error's message may quote the template's variables.
            name = type_name(error)
            problem = f"failed ({place_of(error)})"
        log.error("The %s of the alert's message %s; the built-in message is sent instead.", kind, problem)
        return "", f" (message {kind}: {name})"

    def _recipients(self) -> list[str]:
        rendered = self._render_or_log("to", lambda to: to, "the alert goes to the connection's alert_to")
        listed = rendered if isinstance(rendered, (list, tuple, set)) else [rendered]
        numbers = [number for each in listed if each is not None for number in _numbers_in(each)]
        if len(numbers) > MOST_RECIPIENTS:
            left_out = plural(len(numbers) - MOST_RECIPIENTS, "recipient gets", "recipients get")
            log.error("%s no message: an alert goes to at most %d. Give it fewer.", left_out, MOST_RECIPIENTS)
        return numbers[:MOST_RECIPIENTS]

    def _given_key(self) -> str | None:
        given = self._render_or_log("dedup_key", str, "the default key is used")
        return None if given is None else json.dumps(["given", given])

    def _default_key(self, event: str) -> str:
        if event == "asked":
            return question_key(self._context)
        return json.dumps([dag_id_of(self._context), event, _identity(self._notifier.message)])

    def _render_or_log(self, name: str, convert: Callable[[Any], Any], consequence: str) -> Any:
        """Return a rendered field; None if it is None, or if its template fails, which is logged."""
        try:
            rendered = self._render(name)
            return None if rendered is None else convert(rendered)
        except Exception as error:
            log.error("The template of `%s` failed (%s); %s.", name, place_of(error), consequence)  # noqa: TRY400
            return None

    def _render(self, name: str) -> Any:
        template = getattr(self._notifier, name)
        if template is None:
            return None
        environment = _environment(self._notifier, self._context)
        if callable(template):
            return _called(template, self._context, environment)
        return self._notifier.render_template(template, self._context, environment)


def _is_text(message: object) -> bool:
    return isinstance(message, (str, int, float)) and not isinstance(message, bool)


def _called(function: Callable[..., Any], context: Context, environment: jinja2.Environment) -> Any:
    """Call a function as Airflow calls one in a template field, or with the context alone, or without arguments."""
    for args, kwargs in (((), {"context": context, "jinja_env": environment}), ((context,), {}), ((), {})):
        try:
            inspect.signature(function).bind(*args, **kwargs)
        except (TypeError, ValueError):
            continue
        return function(*args, **kwargs)
    return function(context)


def _identity(message: object) -> str | None:
    """Return what identifies a message in every process: its template, or where its function is written."""
    if not callable(message):
        return str(message) if message else None
    function = message.func if isinstance(message, partial) else message
    code = getattr(function, "__code__", None)
    return f"{getattr(function, '__qualname__', type_name(function))}:{getattr(code, 'co_firstlineno', '')}"


def _numbers_in(recipient: object) -> list[str]:
    written = safe_str(recipient, _LONGEST_LIST + 1)
    if len(written) > _LONGEST_LIST or not (written or isinstance(recipient, str)):
        log.error("A recipient of an alert gets no message: it is not a number, but a %s.", type_name(recipient))
        return []
    # A template that evaluates to a list renders to the list's repr.
    numbers = [part.strip(" []'\"") for part in written.split(",")]
    return [number for number in numbers if number]


def _environment(notifier: DialogTechSmsNotifier, context: Context) -> jinja2.Environment:
    dag = context.get("dag")
    # A deadline alert has no DAG, and the DAG of a callback in Airflow 3.3's dag.test() has no template environment.
    if dag is None or not hasattr(dag, "get_template_env"):
        return notifier.get_template_env()
    environment: jinja2.Environment = dag.get_template_env(force_sandboxed=True)
    return environment


def _split(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """Return the arguments before the context that Airflow calls a callback with, and the context if there is one."""
    if args and isinstance(args[-1], Mapping) and not _IN_A_CONTEXT.isdisjoint(args[-1]):
        return args[:-1], args[-1]
    # Airflow 2's SLA callback.
    first = len(args) - len(_SLA_ARGUMENTS)
    if first >= 0 and hasattr(args[first], "dag_id"):
        return args[:first], dict(zip(_SLA_ARGUMENTS, args[first:], strict=True))
    return args, None


def _cooldown(given: timedelta | float | None) -> timedelta | None:
    if given is None or isinstance(given, timedelta):
        cooldown = given
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        # Compared first: a timedelta cannot hold infinity, nor more than a million years.
        seconds = given if 0 <= given <= LONGEST_COOLDOWN.total_seconds() else -1
        cooldown = timedelta(seconds=seconds)
    else:
        raise InvalidMessage(
            f"cooldown must be a timedelta, a number of seconds or None, not {safe_repr(given)}", before_any=True
        )
    if cooldown is not None and not timedelta(0) <= cooldown <= LONGEST_COOLDOWN:
        raise InvalidMessage(
            f"cooldown must be from 0 to {LONGEST_COOLDOWN.days} days, not {safe_repr(given)}", before_any=True
        )
    return cooldown


def _log_failure(error: Exception) -> None:
    """Log why no message was sent. Only this package's errors are certain to hold no secret."""
    reason = f"{error.reason}. {error.advice}" if isinstance(error, DialogTechError) else place_of(error)
    log.error("An alert failed, so no message was sent: %s", reason)
