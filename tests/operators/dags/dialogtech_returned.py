"""A task returns what the hook returns, and others read it."""

from datetime import datetime, timezone

from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG("dialogtech_returned", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):

    @task
    def text_one():
        return DialogTechHook().send_sms(to="5556667631", message="one")

    @task
    def text_two():
        return [DialogTechHook().send_sms(to=to, message="two") for to in ("5556667632", "5556667633")]

    @task
    def read(one, two):
        return [one["status"], one["from"], *(each["to"] for each in two)]

    @task
    def read_a_template(words):
        return [words]

    one, two = text_one(), text_two()
    read(one, two) >> read_a_template("{{ ti.xcom_pull('text_one')['to'] }} {{ ti.xcom_pull('text_two')[0].status }}")
