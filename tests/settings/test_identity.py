import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dialogtech.exceptions import InvalidConnection, InvalidMessage
from airflow_provider_dialogtech.journal.records import NO_INDEX
from airflow_provider_dialogtech.settings import identity as idempotency
from airflow_provider_dialogtech.settings.identity import Origin

RUN = ("dag", "run", "task", -1, "5556667777")


def test_a_tasks_message_has_the_same_key_on_every_try():
    assert idempotency.task_key(*RUN) == idempotency.task_key(*RUN)


def test_another_dag_run_task_map_index_or_recipient_has_another_key():
    others = (
        ("dag2", "run", "task", -1, "5556667777"),
        ("dag", "run2", "task", -1, "5556667777"),
        ("dag", "run", "task2", -1, "5556667777"),
        ("dag", "run", "task", 0, "5556667777"),
        ("dag", "run", "task", -1, "5556667778"),
        (*RUN, "order 17"),
    )
    keys = {idempotency.task_key(*RUN), *(idempotency.task_key(*other) for other in others)}
    keys |= {idempotency.task_key(*RUN, loop_index=index) for index in range(3)}
    assert len(keys) == 10


@given(st.lists(st.text(), min_size=4, max_size=4), st.lists(st.text(), min_size=4, max_size=4))
def test_names_that_run_into_each_other_are_kept_apart(one, other):
    same = idempotency.task_key(*one[:3], -1, one[3]) == idempotency.task_key(*other[:3], -1, other[3])
    assert same == (one == other)


def test_no_key_holds_a_phone_number_and_every_key_fits_the_journal():
    for key in (
        idempotency.task_key(*RUN),
        idempotency.given_key("order for 5556667777"),
        idempotency.default_key("5556667777", "hi"),
    ):
        assert "5556667777" not in key
        assert len(key) <= 64


def test_a_given_key_is_never_a_tasks_key():
    assert idempotency.given_key(idempotency.task_key(*RUN)) != idempotency.task_key(*RUN)


def test_outside_a_task_every_message_has_a_key_of_its_own():
    assert idempotency.default_key("5556667777", "hi") != idempotency.default_key("5556667777", "hi")


def test_inside_a_task_the_message_belongs_to_the_key(monkeypatch):
    from airflow_provider_dialogtech import _compat

    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=-1)
    monkeypatch.setattr(_compat, "get_current_context", lambda: {"ti": ti})
    first, again, other = (idempotency.default_key("5556667777", body) for body in ("hi", "hi", "ho"))
    assert first == again != other


def test_without_a_namespace_keys_are_those_that_old_journals_hold():
    assert idempotency.task_key(*RUN) == "3270dcf05d32837858fb525e042966bbfa1d05931429d473f95965f0f2ca5c5d"
    assert idempotency.given_key("order 17") == "2823474712744df28645f7fb0d2dfb0d037721d180f5a88260f9c215e7cf00f2"
    assert idempotency.account_of("access") == "cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395"


def test_two_airflows_that_share_a_journal_have_keys_of_their_own(monkeypatch):
    found = {idempotency.task_key(*RUN), idempotency.given_key("order 17")}
    for namespace in ("production", "staging"):
        monkeypatch.setenv("AIRFLOW__DIALOGTECH__NAMESPACE", namespace)
        found |= {idempotency.task_key(*RUN), idempotency.given_key("order 17")}
    assert len(found) == 6


@pytest.mark.parametrize("name", ["x" * 251, "x\x1b[2Jy"])
def test_a_namespace_that_is_too_long_or_cannot_be_shown_is_refused_by_name(monkeypatch, name):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__NAMESPACE", name)
    with pytest.raises(InvalidConnection, match=r"\[dialogtech\] namespace must be a name of at most 250"):
        idempotency.task_key(*RUN)


@pytest.mark.parametrize("key", [0, False, 0.0, "0", 17])
def test_any_given_key_counts(key):
    assert idempotency.given_key(key) == idempotency.given_key(str(key))


@pytest.mark.parametrize("key", ["", "  ", "x" * 10_001, 10**5000], ids=["empty", "blank", "long", "huge"])
def test_an_empty_or_too_long_key_is_refused(key):
    with pytest.raises(InvalidMessage, match="`idempotency_key` must be text of 1 to 10,000 characters"):
        idempotency.given_key(key)


ENVIRONMENT = {
    "AIRFLOW_CTX_DAG_ID": "dag",
    "AIRFLOW_CTX_DAG_RUN_ID": "run",
    "AIRFLOW_CTX_TASK_ID": "task",
    "AIRFLOW_CTX_TRY_NUMBER": "1",
    "AIRFLOW_CTX_MAP_INDEX": "-1",
}
SAY = """
from airflow_provider_dialogtech.settings.identity import current_origin, default_key
print("SAID", default_key("5556667777", "hi"), current_origin())
"""


def test_a_process_that_a_task_starts_has_the_tasks_key():
    done = subprocess.run(
        [sys.executable, "-c", SAY], capture_output=True, text=True, env=os.environ | ENVIRONMENT, check=True
    )
    key, origin = done.stdout.split("SAID ")[1].strip().split(" ", 1)
    assert key == idempotency.task_key(*RUN, idempotency.digest("hi"))
    assert origin == "Origin(dag_id='dag', run_id='run', task_id='task', map_index=-1, loop_index=-1)"


@pytest.fixture
def started_with(monkeypatch):
    """Let this process have been started with these variables."""

    def started(**environment: str) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(idempotency, "_environment_at_start", lambda: dict(os.environ))

    return started


def test_the_processes_of_each_try_have_one_key(started_with):
    keys = set()
    for try_number in ("1", "2"):
        started_with(**ENVIRONMENT | {"AIRFLOW_CTX_TRY_NUMBER": try_number})
        keys |= {idempotency.default_key("5556667777", "hi") for _ in range(2)}
    assert keys == {idempotency.task_key(*RUN, idempotency.digest("hi"))}


@pytest.mark.parametrize("loop_index", [NO_INDEX, 2])
def test_the_processes_of_a_mapped_tasks_instances_have_one_key_in_each_iteration_of_a_loop(started_with, loop_index):
    started_with(**ENVIRONMENT | {"AIRFLOW_CTX_MAP_INDEX": "1", "AIRFLOW_CTX_LOOP_INDEX": str(loop_index)})
    expected = idempotency.task_key(*RUN, idempotency.digest("hi"), loop_index=loop_index)
    assert idempotency.default_key("5556667777", "hi") == expected
    assert idempotency.current_origin() == Origin("dag", "run", "task", 1, loop_index)


def test_a_process_without_a_whole_task_has_a_new_key_each_time(started_with):
    started_with(**ENVIRONMENT | {"AIRFLOW_CTX_TASK_ID": ""})
    assert idempotency.default_key("5556667777", "hi") != idempotency.default_key("5556667777", "hi")
    assert idempotency.current_origin() == Origin()


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="this system does not tell")  # noqa: PTH110
def test_what_airflow_sets_in_a_tasks_own_process_is_not_taken_for_the_process_of_a_task(monkeypatch):
    """A callback runs there after the task, and its message must not get the task's key."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert idempotency.default_key("5556667777", "hi") != idempotency.default_key("5556667777", "hi")


def test_the_origin_of_a_message_is_its_task():
    ti = SimpleNamespace(dag_id="d" * 300, run_id="run", task_id="task", map_index=3)
    assert idempotency.origin_of({"ti": ti}) == Origin("d" * 250, "run", "task", 3)
    assert idempotency.origin_of({"ti": ti, "loop": SimpleNamespace(index=2)}).loop_index == 2
    assert idempotency.origin_of({"ti": ti, "loop": SimpleNamespace(index="two")}).loop_index == NO_INDEX


@pytest.mark.parametrize(
    "run",
    [
        SimpleNamespace(dag_id="dag", run_id="run"),
        {"dag_id": "dag", "run_id": "run"},
        {"dag_id": "dag", "dag_run_id": "run"},
    ],
)
def test_without_a_task_the_origin_is_the_dags_run(run):
    assert idempotency.origin_of({"dag_run": run}) == Origin("dag", "run")


@pytest.mark.parametrize(
    "context", [{}, {"ti": None}, {"ti": object()}, {"ti": SimpleNamespace(dag_id=3, map_index="x")}]
)
def test_a_strange_context_has_an_empty_origin(context):
    assert idempotency.origin_of(context) == Origin()
