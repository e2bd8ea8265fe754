"""What a success says of the failures that it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_dialogtech.alerts.alert import Alert, Resolves
from airflow_provider_dialogtech.alerts.text import dag_id_of, identity_of, recovery_text, subject_of
from airflow_provider_dialogtech.settings.idempotency import origin_of

ENDED_BY = {"success": "failed", "dag_success": "dag_failed"}
"""A success, and the failures that it ends."""


def recovery_alert(event: str, context: Mapping[str, Any], *, message: str, note: str, given_key: str | None) -> Alert:
    """Return the alert that failures are over.

    :param event: `success` or `dag_success`.
    :param context: what Airflow called the callback with.
    :param message: what it says; empty for the built-in text.
    :param note: what is to stand behind it.
    :param given_key: the notifier's dedup key; None for that of failures with the built-in text.
    """
    # The tasks of a DAG share the default key: that one of them works says nothing of another.
    ends_only_its_own = given_key is None and event == "success"
    of_dag = recovery_text(subject_of("dag_success", context))
    return Alert(
        subject=f"{subject_of(event, context)} ({event})",
        text=message or recovery_text(subject_of(event, context)),
        built_in=not message,
        note=note,
        dedup_key=given_key or json.dumps([dag_id_of(context), ENDED_BY[event], None]),
        cooldown=None,
        origin=origin_of(context),
        about=identity_of(event, context),
        resolves=Resolves(otherwise="" if ends_only_its_own else message or of_dag),
    )
