"""The alert about a failed run: what failed in it, and to whom it goes."""

import logging
from importlib.metadata import version
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.alerts import failed_run
from airflow_provider_dialogtech.alerts.failed_run import NOTE, failed_run_body, note_failure
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier, FailedRunNotifier
from tests.alerts.conftest import ALICE, BOB, bodies, context_of, failure
from tests.conftest import FROM_NUMBERS

RUN = "by_hand"


class Tasks:
    """The tasks of a run and their notes, in place of Airflow's."""

    def __init__(self):
        self.failed, self.notes = [], {}

    def fail(self, task_id, error=None, *, at=0.0, map_index=-1, **more):
        self.failed.append((task_id, map_index))
        if error is not None:
            self.notes[task_id, map_index] = {"at": at, "error": error, **more}

    def read_note(self, dag_id, run_id, task_id, map_index):
        assert (dag_id, run_id) == ("etl", RUN)
        return self.notes.get((task_id, map_index), {})


@pytest.fixture
def tasks(monkeypatch):
    tasks = Tasks()
    monkeypatch.setattr(failed_run, "_failed_instances", lambda *_: tasks.failed)
    monkeypatch.setattr(failed_run, "_read_note", tasks.read_note)
    return tasks


def run(reason="task_failure", run_id=RUN):
    """The context of a DAG's callback, in which Airflow names any one of the tasks."""
    return context_of(run_id=run_id, task_id="report") | {"dag": SimpleNamespace(dag_id="etl"), "reason": reason}


@pytest.mark.parametrize(
    ("reason", "failed", "expected"),
    [
        ("task_failure", [("load", "KeyError: 'x'", 1.0)], ": load: KeyError: 'x'"),
        (
            "task_failure",
            [("load", "KeyError: 'x'", 2.0), ("clean", "no table", 1.0), ("killed", None, 0.0)],
            ": clean and 2 other tasks: no table",
        ),
        ("task_failure", [("killed", None, 0.0), ("killed_too", None, 0.0)], ": killed and 1 other task"),
        ("task_failure", [], ": task report failed"),
        ("timed_out", [], ": timed out"),
        ("timed_out", [("load", "no table", 1.0)], ": timed out: load: no table"),
    ],
)
def test_the_body_names_the_task_that_failed_first_its_error_and_the_number_of_others(tasks, reason, failed, expected):
    for task_id, error, at in failed:
        tasks.fail(task_id, error, at=at)
    body = failed_run_body(run(reason))
    assert body.startswith("Airflow: DAG etl failed at ")
    assert body.endswith(f", run {RUN}{expected}")


@pytest.mark.parametrize(
    ("note", "name"), [({"label": "emea"}, "load[emea]"), ({"label": ""}, "load[3]"), ({}, "load[3]")]
)
def test_an_instance_of_a_mapped_task_is_named_by_its_label_or_its_index(tasks, note, name):
    tasks.fail("load", "no table", map_index=3, **note)
    assert failed_run_body(run()).endswith(f": {name}: no table")


def test_where_the_tasks_cannot_be_read_the_alert_is_sent_without_them():
    assert failed_run_body(run()).endswith(": task report failed")


@pytest.mark.parametrize(
    ("name", "instance"),
    [("load_3", ("load", 3)), ("load", ("load", -1)), ("clean_2", ("clean_2", -1)), ("x_", ("x_", -1))],
)
def test_a_mapped_task_is_told_from_one_whose_name_ends_in_a_number(name, instance):
    dag = SimpleNamespace(has_task={"load", "clean_2", "clean"}.__contains__)
    assert failed_run._instance(name, dag) == instance


def test_a_task_notes_its_error_without_secrets_and_numbers_unless_it_is_tried_again():
    noted = {}
    ti = SimpleNamespace(state="failed", rendered_map_index="north +15550001234", xcom_push=noted.__setitem__)
    note_failure(ti, ValueError("password=hush for +1 (555) 000-1234"))
    assert noted[NOTE]["error"] == "ValueError: password=*** for …1234"
    assert noted[NOTE]["label"] == "north …1234"
    noted.clear()
    note_failure(SimpleNamespace(state="up_for_retry", xcom_push=noted.__setitem__), ValueError())
    note_failure(SimpleNamespace(), ValueError())
    assert noted == {}


@pytest.fixture
def people(connect_sandbox, caplog):
    caplog.set_level(logging.INFO)
    connect_sandbox(extra={"from_numbers": ",".join(FROM_NUMBERS), "alert_to": [ALICE, BOB]})


def run_fails(**options):
    FailedRunNotifier("dialogtech_default")(run(**options))


def test_everybody_hears_of_a_run_in_which_no_notifier_was_called(sandbox, people, tasks):
    tasks.fail("load", "no table")
    run_fails()
    assert sorted(sms["to"] for sms in sandbox.accepted()) == [ALICE, BOB]


@pytest.mark.parametrize("of_dag", [False, True])
def test_who_was_told_of_the_run_by_another_notifier_is_not_told_again(sandbox, people, tasks, caplog, of_dag):
    DialogTechSmsNotifier(to=ALICE)(run() if of_dag else failure(run_id=RUN))
    run_fails()
    assert len(bodies(sandbox, to=ALICE)) == 1
    assert len(bodies(sandbox, to=BOB)) == 1
    assert "the message to …7777 is not needed: another alert about this run was sent to it." in caplog.text


def test_it_does_not_matter_through_which_account_they_were_told(sandbox, connect_sandbox, people, tasks):
    DialogTechSmsNotifier(to=ALICE)(failure(run_id=RUN))
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "alert_to": [ALICE, BOB], "account": "another"})
    run_fails()
    assert len(bodies(sandbox, to=ALICE)) == 1
    assert len(bodies(sandbox, to=BOB)) == 1


@pytest.mark.parametrize(
    ("context", "arguments"),
    [
        (failure(run_id="another"), {}),
        (failure(run_id=RUN, dag_id="another"), {}),
        (context_of("up_for_retry", run_id=RUN), {}),
        (context_of("success", run_id=RUN), {}),
        (context_of(run_id=RUN), {"event": "execute"}),
    ],
    ids=["run", "dag", "retry", "success", "execute"],
)
def test_a_message_about_anything_else_does_not_count(sandbox, people, tasks, context, arguments):
    DialogTechSmsNotifier(to=ALICE, **arguments)(context)
    run_fails()
    assert "DAG etl failed" in bodies(sandbox, to=ALICE)[-1]


def test_an_alert_about_the_run_that_was_not_sent_does_not_count(sandbox, people, tasks):
    sandbox.fault("refused", times=1)
    DialogTechSmsNotifier(to=ALICE)(failure(run_id=RUN))
    run_fails()
    assert "DAG etl failed" in bodies(sandbox, to=ALICE)[-1]


def test_a_suppressed_alert_about_a_task_does_not_count_either(sandbox, people, tasks):
    for run_id in ("before", RUN):
        DialogTechSmsNotifier(to=ALICE)(failure(run_id=run_id))
    run_fails()
    assert ["DAG etl failed" in body for body in bodies(sandbox, to=ALICE)] == [False, True]


def test_a_run_whose_alert_the_cooldown_of_the_dags_own_notifier_suppressed_is_counted_once(sandbox, people, tasks):
    own = DialogTechSmsNotifier(to=ALICE)
    for run_id in ("first", "second", "third"):
        own(run(run_id=run_id))
        run_fails(run_id=run_id)
    assert len(bodies(sandbox, to=ALICE)) == 1
    DialogTechSmsNotifier(to=ALICE, cooldown=None)(run(run_id="fourth"))
    assert "(+2 more since" in bodies(sandbox, to=ALICE)[-1]


@pytest.mark.skipif(version("apache-airflow").startswith("2."), reason="Airflow 2 reads its database")
def test_a_dag_processor_that_cannot_say_what_failed_is_not_asked(monkeypatch):
    """That of Airflow 3.0 gives no reply, for ever."""
    from airflow.dag_processing import processor
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    monkeypatch.delattr(processor, "GetTaskStates", raising=False)
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: pytest.fail("It was asked."))
    assert failed_run_body(run()).endswith(f"run {RUN}: task report failed")
