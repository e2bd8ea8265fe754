"""
### Send a message to each customer of a list

`read_customers` reads a list of customers and their orders, here from a CSV file. One task sends all messages, and uses
all of the account's slots. A retried, cleared or killed task sends only the messages that were not sent.

The message, in a file beside this one, is rendered for each row. Each row has an `id`, so a customer may be in the list
twice with different messages.
"""

import csv
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

CUSTOMERS = Path(__file__).with_suffix(".csv")

with DAG(
    dag_id="dialogtech_customers",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["dialogtech", "example"],
    doc_md=__doc__,
):

    @task(show_return_value_in_logs=False)  # it holds phone numbers
    def read_customers() -> list[dict[str, str]]:
        """Read the file. A query works as well."""
        with CUSTOMERS.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    DialogTechSendBulkSmsOperator(
        task_id="send_to_customers",
        recipients=read_customers(),
        message="dialogtech_customers.sms",
    )
