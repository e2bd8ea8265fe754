"""What an alert is once it is written: its text, and what decides whether it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from airflow_provider_dialogtech.delivery.origin import NO_TASK, Origin


@dataclass(frozen=True)
class Resolves:
    """What a success says of the failures that it ends, to a recipient who was texted about some.

    :param otherwise: what it says where the last text was about another task or DAG under the same dedup key; empty
        where none is sent then.
    """

    otherwise: str = field(repr=False)


@dataclass(frozen=True)
class Alert:
    """An alert, ready to be delivered.

    :param subject: what it is about, for the log.
    :param text: what it says.
    :param built_in: whether the text is ours, which fits one segment.
    :param note: what is to stand behind it in any case.
    :param dedup_key: alerts with the same key are one alert.
    :param cooldown: how long a recipient is not texted again; None texts each time.
    :param origin: the task that it is about.
    :param about: the task or DAG that it is about, which may share its dedup key with others.
    :param resolves: what it ends; None where it ends nothing.
    """

    subject: str
    text: str = field(repr=False)
    built_in: bool
    note: str
    dedup_key: str
    cooldown: timedelta | None
    origin: Origin = NO_TASK
    about: str = ""
    resolves: Resolves | None = None
