"""When a text would leave if it were sent now: what `reserve` would decide, without reserving."""

from __future__ import annotations

from airflow_provider_dialogtech.delivery import statements
from airflow_provider_dialogtech.delivery.clock_readings import Reading
from airflow_provider_dialogtech.delivery.limits import RateLimits
from airflow_provider_dialogtech.delivery.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.delivery.reservation import Planner
from airflow_provider_dialogtech.delivery.store import Statement, Store
from airflow_provider_dialogtech.exceptions import DialogTechError


def preview(request: SlotRequest, store: Store, account: str, limits: RateLimits) -> Reservation | Record:
    """Return the slot that the text would get, or what the journal knows of it.

    :param request: the text.
    :param store: where the journal is stored. Nothing is written to it.
    :param account: the account's name in it.
    :param limits: what the account may send.
    :raises InvalidMessage: when the key belongs to a text to somebody else.
    :raises JournalUnavailable: when the journal cannot be used.
    """
    store.open()
    question = Statement(
        statements.BEFORE_RESERVING, {"of_account": account, "of_key": statements.stored_key(request.key)}
    )
    asked = store.clock.monotonic()
    row = store.ask(question)
    took = store.clock.monotonic() - asked
    store.timing.first_answer(took)
    planner = Planner(request, account, limits, owner="")
    answer, _ = planner.plan(row, Reading(row.now, asked + took / 2, took), store.timing.head_start(0.0))
    if isinstance(answer, DialogTechError):
        raise answer
    return answer
