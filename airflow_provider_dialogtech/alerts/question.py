"""What an alert says when a task asks a person (Airflow's human-in-the-loop operators, 3.1 and newer)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from airflow_provider_dialogtech.alerts.text import clock_time, scrub_secrets
from airflow_provider_dialogtech.masking import safe_str
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.identity import origin_of

# A longer link leaves no room for the question.
LONGEST_LINK = 180
_LONGEST_READ = 10_000
_LONGEST_SUBJECT = 120
_LONGEST_OPTION = 30
_MOST_OPTIONS = 8
# What ids and Airflow's own percent-encoding hold; a letter that is not of ASCII is encoded.
_KEPT_IN_PATHS = "/%:+~@"


def asks(context: Mapping[str, Any]) -> bool:
    """Return whether the task of a context is one that asks a person.

    :param context: what Airflow called the notifier with.
    """
    # By name: to import the operator would need a provider that older Airflows do not have.
    return any(kind.__name__ == "HITLOperator" for kind in type(context.get("task")).__mro__)


def question_body(context: Mapping[str, Any]) -> str:
    """Return what is asked, of which options, and until when.

    :param context: what Airflow called the notifier with.
    """
    task = context["task"]
    parts = [f"Airflow asks: {_words(_of(task, 'subject'), _LONGEST_SUBJECT)}"]
    options = _of(task, "options")
    if isinstance(options, (list, tuple)) and options:
        shown = [_words(option, _LONGEST_OPTION) for option in options[:_MOST_OPTIONS]]
        parts.append(" or ".join(shown) if len(options) <= _MOST_OPTIONS else f"{', '.join(shown)}, …")
    time_out = _of(task, "response_timeout")
    if isinstance(time_out, timedelta):
        parts.append(f"until {clock_time(datetime.now(timezone.utc) + time_out)}")
    return "; ".join(parts)


def question_key(context: Mapping[str, Any]) -> str:
    """Return the dedup key of a question: each needs an answer of its own, also that of a retry or a cleared task.

    :param context: what Airflow called the notifier with.
    """
    asked_in = safe_str(_of(context.get("ti"), "try_number"), _LONGEST_OPTION)
    return json.dumps(["asked", *astuple(origin_of(context)), asked_in])


def answer_link(context: Mapping[str, Any]) -> str:
    """Return the link that opens the form to answer, with a space before it; empty where there is none that fits.

    :param context: what Airflow called the notifier with.
    """
    try:
        link = urlsplit(str(context["task"].generate_link_to_ui_from_context(context=context)))
        behind = urlsplit(config.base_url()).path.rstrip("/")
    except Exception:  # of any kind: no base_url is set, say
        return ""
    # Airflow 3.1 to 3.3 leaves the path of its own base_url out.
    path = link.path if link.path.startswith(f"{behind}/") else behind + link.path
    whole = urlunsplit(link._replace(path=quote(path, safe=_KEPT_IN_PATHS)))
    return f" {whole}" if link.scheme in {"http", "https"} and len(whole) <= LONGEST_LINK else ""


def _words(written: object, longest: int) -> str:
    # Secrets are taken out before it is cut: half of one would not be recognized.
    text = " ".join(safe_str(written, _LONGEST_READ).split())
    return scrub_secrets(text)[:longest]


def _of(task: Any, name: str) -> Any:
    try:
        return getattr(task, name, None)
    except Exception:
        return None
