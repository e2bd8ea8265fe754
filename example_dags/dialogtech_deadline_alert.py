"""
### Send an alert when a pipeline is late

A run that has not finished 5 seconds after it was queued sends an alert to the connection's `alert_to`, once.

Deadline alerts need Airflow 3.1; on an older Airflow the only task of this DAG is skipped. Airflow stores the arguments
of their callback in plain text in its database, and shows them in logs and metrics. Leave `to` out to keep the numbers
in the connection.
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
