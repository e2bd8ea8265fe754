"""Every form of a message's arguments, with native rendering; and messages sent with the hook."""

from datetime import datetime, timezone

from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    dag_id="dialogtech_rendering",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={"to": 5556667611, "connection": "dialogtech_default", "name": "Ada", "sender": 5554332112},
    render_template_as_native_obj=True,
):
    DialogTechSendSmsOperator(
        task_id="from_a_file",
        to="{{ params.to }}",
        message="dialogtech_rendering.sms",
        from_="{{ params.sender }}",
        dialogtech_conn_id="{{ params.connection }}",
    )
    DialogTechSendSmsOperator.partial(task_id="mapped", message="{{ 40 + 2 }}").expand(
        to=["(555) 666-7612", "555.666.7613"]
    )

    @task
    def by_hand() -> list[str]:
        send = DialogTechHook().send_sms
        return [send(to="5556667614", message=body).status for body in ("one", "two", "one")]

    by_hand()
