"""
### One message per row of another task's result

`prepare_messages` returns one mapping per recipient, and `.expand` creates a mapped task instance for each, with its
own log, retries and result in XCom. The instances run in the connection's pool (`dialogtech_default`, 4 slots), so a
long list does not block the tasks of other DAGs.

Airflow does not render what a decorated function gets from another task by `.expand`, nor what it returns. So a
customer's name may be anything, even a template. With `.expand_kwargs`, that template would be executed.
"""

from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    dag_id="dialogtech_message_per_row",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["dialogtech", "example"],
    doc_md=__doc__,
):

    @task(show_return_value_in_logs=False)  # it holds phone numbers
    def prepare_messages() -> list[dict[str, str]]:
        """Return the rows, here without a query."""
        deliveries = [
            {"name": "Ada", "phone": "(555) 666-7771", "window": "9 to 11"},
            {"name": "Grace", "phone": "(555) 666-7772", "window": "11 to 1"},
            {"name": "Mary", "phone": "(555) 666-7773", "window": "2 to 4"},
        ]
        return [
            {"to": row["phone"], "message": f"Hi {row['name']}, your delivery comes today from {row['window']}."}
            for row in deliveries
        ]

    @task.dialogtech_sms
    def send_to_each_customer(row: dict[str, str]) -> dict[str, str]:
        return row

    send_to_each_customer.expand(row=prepare_messages())
