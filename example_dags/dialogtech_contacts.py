"""
### Send to contacts

The connection's extra may hold names for numbers, which keeps numbers out of DAGs, Airflow's pages and its database:

    {"contacts": {"oncall": "(555) 666-7861", "ada": "(555) 666-7862", "finance": ["(555) 666-7863", "(555) 666-7864"]}}

`to` takes a name, a list of names, or a template of one, such as the DAG's owner. The notifier sends to every number of
a name. An operator sends one message. An unknown name is an error; an alert then goes to `alert_to` instead.
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
    announce = DialogTechSendSmsOperator(task_id="announce", to="oncall", message="The books are being closed.")

    @task(on_success_callback=DialogTechSmsNotifier("The books are closed.", to=["finance", "oncall"]))
    def close_the_books():
        pass

    @task
    def write_the_report():
        raise ConnectionError("The printer does not answer")

    announce >> close_the_books() >> write_the_report()
