"""Texts that meet a kill, a clear and a long line."""

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import sqlalchemy as sa

from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.records import Reservation, SlotRequest
from airflow_provider_dialogtech.journal.schema import messages
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator
from airflow_provider_dialogtech.settings.journal import journal_store

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

START = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc)}
# A task that has no setting of the journal reaches it where Airflow 3 keeps it for all.
JOURNAL = Path(os.environ["AIRFLOW_HOME"], "dialogtech_journal.db")
DELIVERY = "dialogtech_delivery"
LONG_LINE = "dialogtech_long_line"
# Every try makes another message of it.
ANOTHER_EACH_TIME = "Try {{ ti.try_number }} at {{ macros.datetime.now() }}"


def keep_the_line_busy(context):
    """Let another message take the number's only slot of a minute, fifteen seconds from now; in the first try only."""
    settings = DialogTechHook(LONG_LINE).settings
    journal = MessageJournal(journal_store(), settings.account, settings.limits)
    held = journal.reserve(SlotRequest("another message", settings.from_numbers, "5556668888", "Hi"))
    if isinstance(held, Reservation):
        with sa.create_engine(f"sqlite:///{JOURNAL}").begin() as connection:
            another_text = messages.update().where(messages.c.id == held.id)
            connection.execute(another_text.values(at=held.at + 15, state="sent"))


for dag_id, to in {"killed_alone": "5556667911", "killed_with_its_parents": "5556667912"}.items():
    with DAG(f"delivery_{dag_id}", **START):
        DialogTechSendSmsOperator(
            task_id="text",
            to=to,
            message=ANOTHER_EACH_TIME,
            dialogtech_conn_id=DELIVERY,
            retries=2,
            retry_delay=timedelta(seconds=1),
        )

# These two run by themselves: the second one takes a minute, which nobody needs to wait for.
with DAG("delivery_cleared", **{**START, "schedule": "@once"}):
    DialogTechSendSmsOperator(task_id="text", to="5556667913", message=ANOTHER_EACH_TIME, dialogtech_conn_id=DELIVERY)

with DAG("delivery_deferred", **{**START, "schedule": "@once"}):
    DialogTechSendSmsOperator(
        task_id="text",
        to="5556667914",
        message=ANOTHER_EACH_TIME,
        dialogtech_conn_id=LONG_LINE,
        deferrable=True,
        pre_execute=keep_the_line_busy,
    )
