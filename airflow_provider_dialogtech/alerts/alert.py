"""An alert that is ready to be delivered: its body, its dedup key, and the failures that it resolves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_provider_dialogtech.alerts.text import dag_id_of, identity_of, recovery_body, run_id_of, subject_of
from airflow_provider_dialogtech.journal.records import NO_TASK, Origin
from airflow_provider_dialogtech.settings.identity import origin_of

_FAILURES = ("failed", "dag_failed")


@dataclass(frozen=True)
class Alert:
    """An alert, ready to be delivered.

    :param subject: what it is about, for the log.
    :param body: the body, without the note and the counts of suppressed alerts.
    :param built_in: whether the package wrote the body; such a message is cut to one segment.
    :param note: appended to the body and never cut.
    :param dedup_key: alerts with the same key are suppressed during the cooldown.
    :param cooldown: how long a recipient gets no other alert with this key; None suppresses none.
    :param origin: the task that it is about, for the journal.
    :param about: identifies the task or DAG, which may share the dedup key with others.
    :param run: identifies the run that failed, or in which a task failed; empty for any other alert.
    :param is_whole_run: whether it is about the run itself, not about one of its tasks.
    :param once_per_run: whether it skips recipients who got another alert with the same `run` within the cooldown.
    :param resolves: set where the alert resolves failures, so that it goes only to recipients of an alert about one of
        them: the body where the last of those was about another task or DAG; empty to send nothing then.
    """

    subject: str
    body: str = field(repr=False)
    built_in: bool
    note: str
    dedup_key: str
    cooldown: timedelta | None
    origin: Origin = NO_TASK
    about: str = ""
    run: str = ""
    is_whole_run: bool = False
    once_per_run: bool = False
    resolves: str | None = field(default=None, repr=False)


def identity_of_failed_run(event: str, context: Mapping[str, Any]) -> str:
    """Return a string that identifies the failed run of an alert; empty where it is about no failure of a run."""
    run_id = run_id_of(context)
    return json.dumps([dag_id_of(context), run_id]) if run_id and event in _FAILURES else ""


FAILURE_RESOLVED_BY = {"success": "failed", "dag_success": "dag_failed"}
"""Each success event, and the failure event that it resolves."""


def recovery_alert(event: str, context: Mapping[str, Any], *, body: str, note: str, given_key: str | None) -> Alert:
    """Return the alert that resolves failures.

    :param event: `success` or `dag_success`.
    :param body: the body; empty for the built-in one.
    :param note: appended to the body.
    :param given_key: the notifier's dedup key; None for the default key of failures with the built-in body.
    """
    # The tasks of a DAG share the default key, and one task's success does not resolve another's failure.
    ends_only_its_own = given_key is None and event == "success"
    of_dag = recovery_body(subject_of("dag_success", context))
    return Alert(
        subject=f"{subject_of(event, context)} ({event})",
        body=body or recovery_body(subject_of(event, context)),
        built_in=not body,
        note=note,
        dedup_key=given_key or json.dumps([dag_id_of(context), FAILURE_RESOLVED_BY[event], None]),
        cooldown=None,
        origin=origin_of(context),
        about=identity_of(event, context),
        resolves="" if ends_only_its_own else body or of_dag,
    )
