"""A loop (Airflow 3.4) whose iterations each send the same messages, in every way."""

from datetime import datetime, timezone

from airflow.sdk import DAG, task, task_group

from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator

with DAG(dag_id="dialogtech_loop", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):

    @task_group
    def again():
        one = DialogTechSendSmsOperator(task_id="one", to="5556667641", message="again")
        rows = DialogTechSendBulkSmsOperator(task_id="rows", recipients=["5556667642"], message="again")
        mapped = DialogTechSendSmsOperator.partial(task_id="mapped", message="again").expand(to=["5556667643"])

        @task
        def by_hand():
            DialogTechHook().send_sms(to="5556667644", message="again")

        one >> rows >> mapped >> by_hand()

    again.loop(max_iterations=2)
