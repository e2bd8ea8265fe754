"""What an alert says when a task asks a person (Airflow's human-in-the-loop operators, 3.1 and newer)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_dialogtech.alerts.text import clock_time
from airflow_provider_dialogtech.safe_repr import safe_str

# A longer link leaves no room for the question.
LONGEST_LINK = 180
_LONGEST_SUBJECT = 120
_LONGEST_OPTION = 30
_MOST_OPTIONS = 8


def asks(context: Mapping[str, Any]) -> bool:
    """Say whether the task of a context is one that asks a person.

    :param context: what Airflow called the notifier with.
    """
    # By name: to import the operator would need a provider that older Airflows do not have.
    return any(kind.__name__ == "HITLOperator" for kind in type(context.get("task")).__mro__)


def question_text(context: Mapping[str, Any]) -> str:
    """Return what is asked, of which options, and until when.

    :param context: what Airflow called the notifier with.
    """
    task = context["task"]
    parts = [f"Airflow asks: {safe_str(_of(task, 'subject'), _LONGEST_SUBJECT)}"]
    options = _of(task, "options")
    if isinstance(options, (list, tuple)) and options:
        shown = [safe_str(option, _LONGEST_OPTION) for option in options[:_MOST_OPTIONS]]
        parts.append(" or ".join(shown) if len(options) <= _MOST_OPTIONS else f"{', '.join(shown)}, …")
    time_out = _of(task, "response_timeout")
    if isinstance(time_out, timedelta):
        parts.append(f"until {clock_time(datetime.now(timezone.utc) + time_out)}")
    return "; ".join(parts)


def answer_link(context: Mapping[str, Any]) -> str:
    """Return the link that opens the form to answer, with a space before it; empty where there is none that fits.

    :param context: what Airflow called the notifier with.
    """
    try:
        link = str(context["task"].generate_link_to_ui_from_context(context=context))
    except Exception:  # of any kind: no base_url is set, say
        return ""
    return f" {link}" if link.startswith("http") and len(link) <= LONGEST_LINK else ""


def _of(task: Any, name: str) -> Any:
    try:
        return getattr(task, name, None)
    except Exception:
        return None
