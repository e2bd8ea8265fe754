"""Airflow's metrics (`[metrics]` in its configuration: StatsD, Datadog or OpenTelemetry)."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

PREFIX = "dialogtech"


class AirflowRecorder:
    """Hands figures to Airflow. Where Airflow has no metrics set up, they are dropped."""

    def count(self, name: str, by: int = 1) -> None:
        from airflow_provider_dialogtech._compat import stats

        with suppress(Exception):  # of any kind: no text may fail for its figures
            stats().incr(f"{PREFIX}.{name}", by)

    def time(self, name: str, seconds: float) -> None:
        from airflow_provider_dialogtech._compat import stats

        with suppress(Exception):
            stats().timing(f"{PREFIX}.{name}", timedelta(seconds=seconds))
