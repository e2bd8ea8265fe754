"""Lists, mapped tasks and failures, for two Celery workers."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, task

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator

START = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc)}
RETRIES = {"retries": 3, "retry_delay": timedelta(seconds=1)}


def numbers(first: int, count: int) -> list[str]:
    return [str(number) for number in range(first, first + count)]


with DAG("mapped", **START, default_args=RETRIES):
    DialogTechSendSmsOperator.partial(task_id="text", message="Hi").expand(to=numbers(5556661000, 12))

with DAG("two_lists", **START, default_args=RETRIES):
    for first in (5556662000, 5556662500):
        DialogTechSendBulkSmsOperator(task_id=f"text_{first}", recipients=numbers(first, 40), message="Hi")

with DAG(
    "storm", **START, default_args={"on_failure_callback": DialogTechSmsNotifier(to=["5556663000", "5556663001"])}
):

    @task
    def fails(number: int) -> None:
        raise RuntimeError(f"no partition {number}")

    fails.expand(number=list(range(40)))

for name, first in {"task_killed": 5556664000, "worker_killed": 5556665000, "journal_crashed": 5556666000}.items():
    with DAG(name, **START, default_args=RETRIES):
        DialogTechSendBulkSmsOperator(task_id="text", recipients=numbers(first, 40), message="Hi")
