"""What an alert is once it is written: its message, what decides whether it is sent, and the failures that it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_provider_dialogtech.alerts.text import dag_id_of, identity_of, recovery_body, subject_of
from airflow_provider_dialogtech.journal.records import NO_TASK, Origin
from airflow_provider_dialogtech.settings.identity import origin_of


@dataclass(frozen=True)
class Resolves:
    """What a success says of the failures that it ends, to a recipient who was texted about some.

    :param otherwise: what it says where the last message was about another task or DAG under the same dedup key; empty
        where none is sent then.
    """

    otherwise: str = field(repr=False)


@dataclass(frozen=True)
class Alert:
    """An alert, ready to be delivered.

    :param subject: what it is about, for the log.
    :param message: what it says.
    :param built_in: whether the message is ours, which fits one segment.
    :param note: what is to stand behind it in any case.
    :param dedup_key: alerts with the same key are one alert.
    :param cooldown: how long a recipient is not texted again; None texts each time.
    :param origin: the task that it is about.
    :param about: the task or DAG that it is about, which may share its dedup key with others.
    :param resolves: what it ends; None where it ends nothing.
    """

    subject: str
    body: str = field(repr=False)
    built_in: bool
    note: str
    dedup_key: str
    cooldown: timedelta | None
    origin: Origin = NO_TASK
    about: str = ""
    resolves: Resolves | None = None


ENDED_BY = {"success": "failed", "dag_success": "dag_failed"}
"""A success, and the failures that it ends."""


def recovery_alert(event: str, context: Mapping[str, Any], *, message: str, note: str, given_key: str | None) -> Alert:
    """Return the alert that failures are over.

    :param event: `success` or `dag_success`.
    :param context: what Airflow called the callback with.
    :param message: what it says; empty for the built-in message.
    :param note: what is to stand behind it.
    :param given_key: the notifier's dedup key; None for that of failures with the built-in message.
    """
    # The tasks of a DAG share the default key: that one of them works says nothing of another.
    ends_only_its_own = given_key is None and event == "success"
    of_dag = recovery_body(subject_of("dag_success", context))
    return Alert(
        subject=f"{subject_of(event, context)} ({event})",
        body=message or recovery_body(subject_of(event, context)),
        built_in=not message,
        note=note,
        dedup_key=given_key or json.dumps([dag_id_of(context), ENDED_BY[event], None]),
        cooldown=None,
        origin=origin_of(context),
        about=identity_of(event, context),
        resolves=Resolves(otherwise="" if ends_only_its_own else message or of_dag),
    )
