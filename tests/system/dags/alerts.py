"""Every callback of a task and of a DAG, each with a recipient of its own."""

from datetime import datetime, timedelta, timezone

from airflow_provider_dialogtech.alerts import deliver
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

# These alerts show what is texted. A busy machine needs more for it than the 45 seconds of a callback.
deliver.LONGEST_CALLBACK = 300.0

START = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc)}

with DAG(
    "alerts_of_a_failure",
    **START,
    default_args={"on_failure_callback": DialogTechSmsNotifier(to="5556667801")},
    on_failure_callback=DialogTechSmsNotifier(to="5556667802"),
    on_success_callback=DialogTechSmsNotifier(to="5556667803"),
):

    @task(
        retries=1,
        retry_delay=timedelta(seconds=1),
        on_failure_callback=DialogTechSmsNotifier(to="5556667804"),
        on_retry_callback=DialogTechSmsNotifier(to="5556667805"),
        on_execute_callback=DialogTechSmsNotifier(to="5556667806"),
    )
    def fails():
        raise ValueError("no partition 2026-01-01 for +1 (555) 000-1234")

    @task(on_success_callback=DialogTechSmsNotifier("{{ ti.task_id }} is done", to=["5556667807"]))
    def succeeds():
        pass

    @task(on_skipped_callback=DialogTechSmsNotifier(to="5556667808"))
    def is_skipped():
        from airflow.exceptions import AirflowSkipException

        raise AirflowSkipException

    @task
    def fails_too():
        raise KeyError("a column")

    fails()
    succeeds()
    is_skipped()
    fails_too()

with DAG("alerts_of_a_success", **START, on_success_callback=DialogTechSmsNotifier(to="5556667809")):

    @task
    def does_nothing():
        pass

    does_nothing()
