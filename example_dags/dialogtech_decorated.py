"""
### Send the message that a function returns

With `@task.dialogtech_sms`, a function returns the message, or a mapping with `to` and `message`. Templates in its
result are not rendered. `.expand` sends one message for each of its arguments.
"""

from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    dag_id="dialogtech_decorated",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["dialogtech", "example"],
    doc_md=__doc__,
):

    @task
    def load() -> int:
        """Return the number of loaded rows."""
        return 4711

    @task.dialogtech_sms(to="(555) 666-7777")
    def notify_the_owner(rows: int) -> str:
        return f"{rows} rows were loaded."

    @task.dialogtech_sms
    def notify_a_customer(customer: dict[str, str]) -> dict[str, str]:
        return {"to": customer["phone"], "message": f"Hi {customer['name']}, your delivery comes today."}

    notify_the_owner(load()) >> notify_a_customer.expand(
        customer=[
            {"name": "Ada", "phone": "(555) 666-7771"},
            {"name": "Grace", "phone": "(555) 666-7772"},
        ]
    )
