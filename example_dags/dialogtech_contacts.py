"""
### Text people by their names

The connection's extra may hold names for numbers, so that no number is in a DAG, on Airflow's pages or in its database:

    {"contacts": {"oncall": "(555) 666-7861", "ada": "(555) 666-7862", "finance": ["(555) 666-7863", "(555) 666-7864"]}}

`to` takes a name, a list of names, or a template that gives one, such as the DAG's owner. The notifier messages every
number of a name, an operator sends one message. An unknown name is an error; in an alert, `alert_to` is told instead.
"""

from datetime import datetime, timezone

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    dag_id="dialogtech_contacts",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    default_args={"owner": "ada", "on_failure_callback": DialogTechSmsNotifier(to="{{ dag.owner }}")},
    tags=["dialogtech", "example"],
    doc_md=__doc__,
):
    tell = DialogTechSendSmsOperator(task_id="tell", to="oncall", message="The books are being closed.")

    @task(on_success_callback=DialogTechSmsNotifier("The books are closed.", to=["finance", "oncall"]))
    def close_the_books():
        pass

    @task
    def write_the_report():
        raise ConnectionError("The printer does not answer")

    tell >> close_the_books() >> write_the_report()
