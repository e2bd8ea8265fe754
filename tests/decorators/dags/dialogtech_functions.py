"""Functions whose results are messages, or are none."""

from datetime import datetime, timezone

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    "dialogtech_functions",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    default_args={"trigger_rule": "all_done"},
):

    @task.dialogtech_sms(to="5556667771")
    def words():
        return "Only words"

    @task.dialogtech_sms
    def mapping() -> dict[str, str]:
        return {"to": "(555) 666-7772", "message": "A mapping"}

    @task.dialogtech_sms(to="5556667770")
    def mapping_that_wins():
        return {"to": "5556667773", "message": "The mapping's number"}

    @task.dialogtech_sms(to="{{ '5556667774' }}")
    def template():
        return "{{ 1 + 1 }}"

    @task.dialogtech_sms(to="5556667775")
    def with_context(ti=None):
        return f"From {ti.task_id}"

    @task.dialogtech_sms(to="5556667776", idempotency_key="given", on_too_long="truncate")
    def options():
        return "x" * 300

    @task.dialogtech_sms(to="5556667777")
    def nothing():
        return None

    @task.dialogtech_sms(to="5556667777")
    def something_else():
        return {"to": "5556667777", "massage": "a slip"}

    @task.dialogtech_sms(to="5556667777")
    def error():
        raise ValueError("the function's own")

    @task.dialogtech_sms
    def to_nobody():
        return "Hi"

    @task.dialogtech_sms(to="5556667778")
    def mapped(number, name):
        return f"{number} {name}"

    @task
    def read(result):
        return [result["status"], result["to"]]

    read(mapping())
    words()
    mapping_that_wins()
    template()
    with_context()
    options()
    nothing()
    something_else()
    error()
    to_nobody()
    mapped.partial(name="of two").expand(number=[1, 2])
