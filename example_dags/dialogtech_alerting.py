"""
### Send an alert when a pipeline fails

`load` fails on purpose, is retried twice, and fails. Then `DialogTechSmsNotifier` sends the connection's `alert_to`
what failed, when, at which try, in which run, and why. In `default_args` it applies to every task of the DAG.

However many tasks fail, a recipient gets one message in 15 minutes (`cooldown`), and the next one counts the others.
When a run succeeds, a second notifier sends a message to the recipient in `to`.
"""

from datetime import datetime, timedelta, timezone

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    dag_id="dialogtech_alerting",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={"works": False},
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=2),
        "on_failure_callback": DialogTechSmsNotifier(),
    },
    on_success_callback=DialogTechSmsNotifier(
        to="(555) 666-7795",
        message="The warehouse is loaded again ({{ run_id }}).",
    ),
    tags=["dialogtech", "example"],
    doc_md=__doc__,
):

    @task
    def load(params=None):
        if not params["works"]:
            raise ConnectionError("The warehouse does not answer")

    @task
    def report():
        pass

    load() >> report()
