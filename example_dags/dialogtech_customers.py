"""
### Text a list of customers

`read_customers` reads a list of customers and their orders, here from a CSV file, and one task messages them all: it
keeps the account's line full, and killed, retried or cleared it goes on with those who have not got their message.

The message is rendered for each row of the list; it is in a file beside this one. A person may be in the list twice
with different messages, since each row has an `id`.
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
        """Read the file; a query would do as well."""
        with CUSTOMERS.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    DialogTechSendBulkSmsOperator(
        task_id="text_customers",
        recipients=read_customers(),
        message="dialogtech_customers.sms",
    )
