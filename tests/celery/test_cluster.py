"""Two Celery workers share one line: nobody is texted twice, nothing is refused, whatever dies."""

import re
import time

import psutil
import pytest

from tests.celery.cluster import WORKERS

pytestmark = [pytest.mark.celery, pytest.mark.timeout(900)]

LIST = 40
ACCOUNT_PER_SECOND = 4
AT_LEAST = 0.9


def texts(sandbox, beginning):
    """Return the messages to numbers that begin so; nothing was refused, and nobody was texted twice."""
    calls = sandbox.messages()
    assert {call["outcome"] for call in calls} <= {"accepted"}
    found = [text for text in calls if text["to"].startswith(beginning)]
    assert len({text["to"] for text in found}) == len(found)
    return found


def test_a_mapped_list_goes_out_from_the_tasks_of_the_workers(cluster, sandbox):
    cluster.trigger("mapped")
    assert cluster.wait_for_run("mapped") == "success", cluster.logs_of("mapped")
    assert len(texts(sandbox, "5556661")) == 12
    assert [result["status"] for result in cluster.results("mapped")] == ["sent"] * 12


@pytest.mark.parametrize("running", ["nothing set"], indirect=True)
def test_the_workers_have_no_database(cluster):
    for worker in WORKERS:
        assert not [
            name for name in cluster.environment_of(worker) if name.endswith(("SQL_ALCHEMY_CONN", "JOURNAL_URL"))
        ]
        assert cluster.journals_of(worker) == []


def test_two_lists_at_once_keep_the_line_full_and_within_the_limits(cluster, sandbox, record_testsuite_property):
    cluster.trigger("two_lists")
    assert cluster.wait_for_run("two_lists") == "success", cluster.logs_of("two_lists")
    at = sorted(text["at"] for text in texts(sandbox, "5556662"))
    assert [result["sent"] for result in cluster.results("two_lists")] == [LIST, LIST]
    assert len(at) == 2 * LIST
    both = [moment for moment in at if _first_ends(sandbox) >= moment >= _second_begins(sandbox)]
    assert len(both) >= LIST / 2
    per_second = (len(both) - 1) / (both[-1] - both[0])
    record_testsuite_property("two lists' share of the limit", f"{per_second / ACCOUNT_PER_SECOND:.1%}")
    assert per_second >= AT_LEAST * ACCOUNT_PER_SECOND


def _spans(sandbox):
    lists = [[text["at"] for text in texts(sandbox, beginning)] for beginning in ("55566620", "55566625")]
    return [(min(at), max(at)) for at in lists]


def _first_ends(sandbox):
    return min(end for _, end in _spans(sandbox))


def _second_begins(sandbox):
    return max(begin for begin, _ in _spans(sandbox))


def test_a_storm_of_failures_from_both_workers_is_one_alert_for_each_person(cluster, sandbox):
    cluster.trigger("storm")
    assert cluster.wait_for_run("storm") == "failed"
    assert len(cluster.tasks("storm")) == 40
    assert cluster.workers_that_ran("storm") == set(WORKERS)
    cluster.processes.wait_until("the people are told", lambda: len(texts(sandbox, "5556663")) >= 2, seconds=60)
    told = {text["to"]: text["message"] for text in texts(sandbox, "5556663")}
    assert set(told) == {"5556663000", "5556663001"}
    assert all(re.search(r"storm\.fails\[\d+\] failed", message) for message in told.values()), told


def goes_on(cluster, sandbox, dag_id, beginning):
    """Check that a list whose task was killed went on in another try, and told the truth of everybody."""
    state = cluster.wait_for_run(dag_id)
    (task,) = cluster.tasks(dag_id)
    (summary,) = cluster.results(dag_id)
    arrived = {text["to"][-4:] for text in texts(sandbox, beginning)}
    in_doubt = {row["to"][-4:] for row in summary["failures"] if row["outcome"] == "in_doubt"}
    assert summary["already_sent"] > 0
    assert summary["sent"] + summary["already_sent"] + summary["in_doubt"] == LIST, summary
    # Who is not named in doubt has got the message; of those in doubt, some have.
    assert LIST - len(arrived) <= len(in_doubt)
    everybody = {f"{number:04}" for number in range(int(beginning[-1]) * 1000, int(beginning[-1]) * 1000 + LIST)}
    assert everybody - arrived <= in_doubt
    assert state == ("failed" if in_doubt else "success"), cluster.logs_of(dag_id)
    return task


def wait_for_texts(cluster, sandbox, beginning, count):
    cluster.processes.wait_until("texts arrive", lambda: len(texts(sandbox, beginning)) >= count)


def kill_task(cluster, dag_id):
    """End the only task of a DAG, and its supervisor, so that nobody tells Airflow."""
    (task,) = cluster.tasks(dag_id)
    process = psutil.Process(task.pid)
    for killed in (process.parent(), process):
        killed.kill()


def test_lists_whose_task_and_whose_worker_are_killed_go_on(cluster, sandbox):
    """Both at once: Airflow misses them after the same time."""
    lists = {"task_killed": "5556664", "worker_killed": "5556665"}
    for dag_id in lists:
        cluster.trigger(dag_id)
    wait_for_texts(cluster, sandbox, lists["task_killed"], 8)
    kill_task(cluster, "task_killed")
    wait_for_texts(cluster, sandbox, lists["worker_killed"], 8)
    worker = cluster.worker_of("worker_killed")
    cluster.kill_worker(worker)
    try:
        for dag_id, beginning in lists.items():
            assert goes_on(cluster, sandbox, dag_id, beginning).try_number > 1
    finally:
        cluster.start_worker(worker)


@pytest.mark.parametrize("running", ["journal_url"], indirect=True)  # without its metadata, Airflow itself ends
def test_a_journal_that_crashes_for_20_seconds_is_waited_for(cluster, journal, sandbox):
    cluster.trigger("journal_crashed")
    wait_for_texts(cluster, sandbox, "5556666", 8)
    journal.crash()
    time.sleep(20)
    journal.start_again()
    state = cluster.wait_for_run("journal_crashed")
    arrived = {text["to"][-4:] for text in texts(sandbox, "5556666")}
    (summary,) = cluster.results("journal_crashed")
    in_doubt = {row["to"][-4:] for row in summary["failures"] if row["outcome"] == "in_doubt"}
    assert {f"{number:04}" for number in range(6000, 6000 + LIST)} - arrived <= in_doubt
    assert state == ("failed" if in_doubt else "success"), cluster.logs_of("journal_crashed")
