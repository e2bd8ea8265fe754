"""
### One message per row of another task's result

`prepare_messages` returns one mapping per recipient, and `expand_kwargs` creates a mapped task instance for each, with
its own log, retries and result in XCom. The instances run in the connection's pool (`dialogtech_default`, 4 slots), so
a long list does not block the tasks of other DAGs.

Airflow renders expanded values as templates. So expand only data that you trust: a template in a customer's name would
be executed. For other people's data use the list operator (`dialogtech_customers`), which renders no row.

With `expand` instead, every recipient gets the same message: `.partial(message="…").expand(to=["…", "…"])`.
"""

from datetime import datetime, timedelta, timezone

from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

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

    DialogTechSendSmsOperator.partial(task_id="send_to_each_customer").expand_kwargs(prepare_messages())
