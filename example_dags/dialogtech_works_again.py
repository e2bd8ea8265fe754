"""
### Send a message when a pipeline works again

`load` fails unless the parameter `works` is true. A failure sends an alert to the connection's `alert_to`. The first
success after it sends one more: "dialogtech_works_again.load works again, after 1 failure in 12 min". Without an
earlier failure, `resolved=True` sends nothing.
"""

from datetime import datetime, timezone

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    dag_id="dialogtech_works_again",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={"works": False},
    default_args={
        "on_failure_callback": DialogTechSmsNotifier(),
        "on_success_callback": DialogTechSmsNotifier(resolved=True),
    },
    tags=["dialogtech", "example"],
    doc_md=__doc__,
):

    @task
    def load(params=None):
        if not params["works"]:
            raise ConnectionError("The warehouse does not answer")

    load()
