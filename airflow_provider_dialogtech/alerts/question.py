"""The body of an alert when a task asks a person (Airflow's human-in-the-loop operators, 3.1 and newer)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit
from uuid import UUID

from airflow_provider_dialogtech.alerts.text import clock_time, scrub_secrets
from airflow_provider_dialogtech.masking import safe_get, safe_str
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.identity import origin_of
from airflow_provider_dialogtech.sms.message import shorten

# A longer link leaves no room for the question.
LONGEST_LINK = 180
_LONGEST_READ = 10_000
_LONGEST_SUBJECT = 120
_LONGEST_OPTION = 30
_MOST_OPTIONS = 8
# The characters of ids and of Airflow's own percent-encoding. All others are encoded.
_KEPT_IN_PATHS = "/%:+~@"


def asks(context: Mapping[str, Any]) -> bool:
    """Return whether the task of a context asks a person."""
    # By name: the operator is in a provider that older Airflow versions do not have.
    return any(kind.__name__ == "HITLOperator" for kind in type(context.get("task")).__mro__)


def question_body(context: Mapping[str, Any]) -> str:
    """Return the body: the question, its options, and its deadline."""
    task = context["task"]
    parts = [f"Airflow asks: {_words(safe_get(task, 'subject'), _LONGEST_SUBJECT)}"]
    options = safe_get(task, "options")
    if isinstance(options, (list, tuple)) and options:
        shown = [_words(option, _LONGEST_OPTION) for option in options[:_MOST_OPTIONS]]
        parts.append(" or ".join(shown) if len(options) <= _MOST_OPTIONS else f"{', '.join(shown)}, …")
    time_out = safe_get(task, "response_timeout")
    if isinstance(time_out, timedelta):
        parts.append(f"until {clock_time(datetime.now(timezone.utc) + time_out)}")
    return "; ".join(parts)


def question_key(context: Mapping[str, Any]) -> str:
    """Return the dedup key of a question. Each try of a task asks anew, so it has a key of its own."""
    asked_in = safe_str(safe_get(context.get("ti"), "try_number"), _LONGEST_OPTION)
    return json.dumps(["asked", *astuple(origin_of(context)), asked_in])


def answer_link(context: Mapping[str, Any]) -> str:
    """Return a space and the link to the form for the answer; empty where the link is missing or too long."""
    try:
        link = urlsplit(str(context["task"].generate_link_to_ui_from_context(context=context)))
        base = urlsplit(config.base_url()).path.rstrip("/")
    except Exception:  # of any kind, such as a missing base_url
        return ""
    # Airflow 3.1 to 3.3 omits the path of its own base_url.
    path = link.path if link.path.startswith(f"{base}/") else base + link.path
    query = "&".join(filter(None, [link.query, _region_of(context)]))
    whole = urlunsplit(link._replace(path=quote(path, safe=_KEPT_IN_PATHS), query=query))
    return f" {whole}" if link.scheme in {"http", "https"} and len(whole) <= LONGEST_LINK else ""


def _region_of(context: Mapping[str, Any]) -> str:
    """Return the query parameters of a task in a loop. Airflow 3.4 omits them, and its API then answers 400."""
    region_id, region_index = (safe_get(context.get("ti"), name) for name in ("region_id", "region_index"))
    if not isinstance(region_id, UUID) or region_id.int == 0:
        return ""
    return urlencode({"region_id": region_id, "region_index": region_index})


def _words(written: object, longest: int) -> str:
    # Scrubbed before it is cut: half of a secret would not be recognised.
    text = " ".join(safe_str(written, _LONGEST_READ).split())
    return shorten(scrub_secrets(text), longest)
