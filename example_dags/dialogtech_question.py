"""
### Ask a person by message

The task waits until a person approves. The contact `oncall` gets a message with the question, its options, its deadline
and a link to the form for the answer, which begins with `[api] base_url`.

Human-in-the-loop operators need Airflow 3.1. On an older Airflow the only task of this DAG is skipped.
"""

from datetime import datetime, timedelta, timezone

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator
except Exception:  # an ImportError, or the provider's own error: Airflow is older than 3.1
    ApprovalOperator = None

with DAG(
    dag_id="dialogtech_question",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    tags=["dialogtech", "example"],
    doc_md=__doc__,
):
    if ApprovalOperator is not None:
        ApprovalOperator(
            task_id="approve",
            subject="Load 2 million rows?",
            response_timeout=timedelta(hours=2),
            notifiers=[DialogTechSmsNotifier(to="oncall")],
        )
    else:

        @task
        def approve():
            from airflow.exceptions import AirflowSkipException

            raise AirflowSkipException("Human-in-the-loop operators need Airflow 3.1, and this one is older.")

        approve()
