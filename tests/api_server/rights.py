"""What each role may see and do on the page, as `docs/messages-page.md` has it."""

from dataclasses import dataclass
from http import HTTPStatus

FROM_PAGE = {"X-DialogTech-Page": "messages", "Sec-Fetch-Site": "same-origin"}
ETL, SALARIES, NO_TASK = "etl", "salaries", ""
BOTH, ALL = frozenset({ETL, SALARIES}), frozenset({ETL, SALARIES, NO_TASK})


@dataclass(frozen=True)
class Rights:
    """What a user may do.

    :param sees: the DAGs whose messages they see; an empty name stands for messages of no task.
    :param settles: the DAGs whose messages they settle.
    :param sees_limits: whether they see the limits in use and the number of alerts.
    :param looks_up: whether they may look messages up, where testing connections is allowed.
    """

    sees: frozenset[str] = frozenset()
    settles: frozenset[str] = frozenset()
    sees_limits: bool = False
    looks_up: bool = False


EVERYTHING = Rights(ALL, ALL, sees_limits=True, looks_up=True)
OF_ROLE = {
    "Admin": EVERYTHING,
    "Op": EVERYTHING,
    "User": Rights(BOTH, BOTH),
    "Viewer": Rights(BOTH),
    "reader of etl": Rights(frozenset({ETL})),
    "editor of etl": Rights(frozenset({ETL}), frozenset({ETL})),
}


def write_messages(write_message):
    """Write one message in doubt for each DAG and one of no task; return their ids."""
    of_dags = {
        dag_id: write_message("in_doubt", key=f"key of {dag_id}", dag_id=dag_id, task_id="load") for dag_id in BOTH
    }
    return of_dags | {NO_TASK: write_message("in_doubt", key="by hand", dag_id="", run_id="", task_id="")}


def found(client, ids):
    """Return what a logged-in user sees and does."""
    assert client.get("").status_code == HTTPStatus.OK
    shown = {message["id"]: message for message in client.get("messages").json()["messages"]}
    sees = {dag_id for dag_id, id_ in ids.items() if id_ in shown}
    for dag_id in ids:  # a filter is no oracle
        answer = client.get(f"messages?dag_id={dag_id or 'nowhere'}").json()
        assert bool(answer["messages"]) == (dag_id in sees and dag_id != NO_TASK)
        assert not answer["more"]
    limits = client.get("limits").json()
    looked_up, settled = set(), set()
    for dag_id, id_ in ids.items():
        answer = client.post(f"messages/{id_}/look-up", headers=FROM_PAGE)
        # No connection has the message's account, so who may ask hears of that.
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            assert "belongs to the account" in answer.json()["detail"]
            looked_up.add(dag_id)
        answer = client.post(f"messages/{id_}/settle", json={"outcome": "unsent"}, headers=FROM_PAGE)
        if answer.status_code == HTTPStatus.OK:
            settled.add(dag_id)
        else:
            assert answer.status_code == (HTTPStatus.FORBIDDEN if dag_id in sees else HTTPStatus.NOT_FOUND)
    assert settled == {dag_id for dag_id, id_ in ids.items() if shown.get(id_, {}).get("may_settle")}
    assert looked_up in (set(), settled)
    sees_limits = bool(limits["accounts"])
    assert (limits["alerts_sent"] is not None) == sees_limits
    return Rights(frozenset(sees), frozenset(settled), sees_limits, bool(looked_up))
