"""
### Alert somebody when a pipeline is late

A run that is not done 5 seconds after it was queued messages the `alert_to` of the connection, once.

Deadline alerts need Airflow 3.1. Airflow keeps the arguments of their callback in plain text in its database, and shows
them in logs and metrics: leave `to` out, and the numbers stay in the connection. On an older Airflow the only task of
this DAG is skipped and says so.
"""

from datetime import datetime, timedelta, timezone

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

try:
    from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference
except ImportError:
    try:  # Airflow 3.1
        from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference
    except ImportError:
        DeadlineAlert = None

late = {}
if DeadlineAlert is not None:
    late["deadline"] = DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=5),
        callback=AsyncCallback(DialogTechSmsNotifier),
    )

with DAG(
    dag_id="dialogtech_deadline_alert",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    tags=["dialogtech", "example"],
    doc_md=__doc__,
    **late,
):

    @task
    def take_longer_than_the_deadline():
        import time

        from airflow.exceptions import AirflowSkipException

        if DeadlineAlert is None:
            raise AirflowSkipException("Deadline alerts need Airflow 3.1, and this one is older.")
        time.sleep(20)

    take_longer_than_the_deadline()
