"""Every form of a list and its message for the bulk operator, with native rendering; and one that fails."""

from datetime import datetime, timezone

from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    dag_id="dialogtech_bulk",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={"rows": [{"to": 5556667703, "name": "{{ not rendered }}"}], "sender": 5554332112},
    render_template_as_native_obj=True,
    user_defined_filters={"shout": str.upper},
):

    @task
    def rows():
        return [{"to": "5556667701", "name": "007"}]

    DialogTechSendBulkSmsOperator(task_id="a_from_taskflow", recipients=rows(), message="{{ recipient.name }}")
    DialogTechSendBulkSmsOperator(
        task_id="b_from_a_file",
        recipients=[{"to": "5556667702", "name": "Ada"}],
        message="dialogtech_bulk.sms",
        from_="{{ params.sender }}",
    )
    DialogTechSendBulkSmsOperator(
        task_id="c_from_jinja", recipients="{{ params.rows }}", message="Hi {{ recipient.name }}"
    )
    DialogTechSendBulkSmsOperator.partial(
        task_id="d_mapped",
        message="Hi {{ recipient.to }}",
        map_index_template="to {{ task.recipients | join(' and ') }}",
    ).expand(recipients=[["5556667704"], ["5556667705", "5556667706"]])
    DialogTechSendBulkSmsOperator(
        task_id="e_fails", recipients=["5556667707", "5556667708"], message="Hi", retries=3, detailed=True
    )
