"""
### Send a message every morning

The smallest use of `DialogTechSendSmsOperator`: one templated message on a schedule.

Before it runs, create a connection `dialogtech_default` of type *DialogTech SMS* with the account's access key, its
secret access key, and in the extra the `from_numbers` to send from. The recipient is the DAG's parameter `to`, which
you can change when you trigger the DAG.

A run sends its message once. Clearing the task, or a retry after a crash, does not send it again.
"""

from datetime import datetime, timedelta, timezone

from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

with DAG(
    dag_id="dialogtech_daily_notification",
    schedule="0 7 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"to": "(555) 666-7777"},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["dialogtech", "example"],
    doc_md=__doc__,
):
    DialogTechSendSmsOperator(
        task_id="good_morning",
        to="{{ params.to }}",
        # Not {{ ds }}: on Airflow 3, a manually triggered run has no logical date, and so no `ds`.
        message="Good morning! The numbers of {{ (dag_run.logical_date or dag_run.run_after) | ds }} are ready: "
        "https://example.com/reports/{{ (dag_run.logical_date or dag_run.run_after) | ds_nodash }}",
    )
