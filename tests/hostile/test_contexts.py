"""An alert is sent whatever a callback's context holds."""

import time
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.conftest import FROM_NUMBERS

ALICE = "5556667777"


class Raising:
    def __getattr__(self, name):
        raise ZeroDivisionError(name)

    __str__ = __bool__ = __eq__ = __hash__ = __len__ = lambda *_: 1 / 0


class Slow:
    def __getattr__(self, name):
        time.sleep(0.01)
        return "slow"


class Lying(str):
    __slots__ = ()
    __len__ = __getitem__ = __str__ = lambda *_: -5


class RaisingMapping(dict):
    get = __contains__ = __getitem__ = lambda *_: 1 / 0


def ti(**fields):
    usual = {"dag_id": "etl", "task_id": "load", "run_id": "run", "map_index": -1, "try_number": 1, "max_tries": 0}
    return SimpleNamespace(**usual | fields, state="failed")


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox(numbers=FROM_NUMBERS) as sandbox:
        yield sandbox


HUGE = "n" * 1_000_000
CONTEXTS = {
    "everything raises": {
        name: Raising() for name in ("ti", "dag", "task", "dag_run", "run_id", "exception", "reason")
    },
    "the context raises": RaisingMapping(ti=ti()),
    "the error raises": {"ti": ti(), "exception": Raising()},
    "the SLA's tasks raise": {"blocking_task_list": Raising(), "task_list": Raising(), "dag": Raising()},
    "slow properties of a wrong type": {"ti": Slow(), "dag": Slow(), "exception": Slow()},
    "message that lies": {"ti": ti(dag_id=Lying("etl"), run_id=Lying("run")), "exception": ValueError(Lying("x"))},
    "half of a character": {"ti": ti(dag_id="\ud800", task_id="\0", run_id="\udfff")},
    "huge names": {"ti": ti(dag_id=HUGE, task_id=HUGE, run_id=HUGE), "run_id": HUGE, "exception": ValueError(HUGE)},
    "a deadline's huge names": {"deadline": Raising(), "dag_run": {"dag_id": HUGE, "dag_run_id": HUGE}},
    "wrong types": {"ti": ti(map_index="x", try_number=Raising(), max_tries="x", dag_id=None, run_id=b"\xff")},
    "nothing": {},
}


@pytest.mark.parametrize("message", [None, "{{ ti.task_id }} {{ exception }}"], ids=["built-in", "template"])
@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_an_alert_goes_out_although(context, message, one_sandbox, connection):
    sandbox = one_sandbox
    sandbox.forget()
    keys = {"login": sandbox.access_key, "password": sandbox.secret_access_key}
    connection(host=sandbox.url, **keys, extra={"from_numbers": FROM_NUMBERS[0], "alert_to": ALICE})
    DialogTechSmsNotifier(message, cooldown=None).notify(context)
    (sms,) = sandbox.accepted()
    assert sms["to"] == ALICE
    assert sms["message"].strip()
