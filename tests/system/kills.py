"""Kill tasks while their request is out: one as the kernel does, one as a machine that goes down."""

import psutil

KILLED_ALONE = "delivery_killed_alone"
KILLED_WITH_ITS_PARENTS = "delivery_killed_with_its_parents"
KILLED_NUMBERS = {KILLED_ALONE: "5556667911", KILLED_WITH_ITS_PARENTS: "5556667912"}
RUN = "by_hand"


def kill_both(system):
    kill_while_its_request_is_out(system, KILLED_WITH_ITS_PARENTS, with_parents=True)
    kill_while_its_request_is_out(system, KILLED_ALONE, with_parents=False)


def kill_while_its_request_is_out(system, dag_id, *, with_parents):
    number = KILLED_NUMBERS[dag_id]
    system.sandbox.fault("hang_after_accept", times=1, to=number)
    system.airflow.trigger(dag_id, RUN)
    system.airflow.processes.wait_until("the message arrives", lambda: bool(system.texts_to(number)))
    task = system.process_of(dag_id)
    assert is_calling(task, system.sandbox)
    # The parents first, so that none of them can tell Airflow.
    for process in [*reversed(supervisors_of(system, task)), task] if with_parents else [task]:
        process.kill()


def supervisors_of(system, task: psutil.Process) -> list[psutil.Process]:
    """Return what runs between the scheduler and the task, the nearest first."""
    scheduler = system.airflow.processes.pid_of("scheduler")
    pids = [process.pid for process in task.parents()]
    return task.parents()[: pids.index(scheduler)]


def is_calling(task: psutil.Process, sandbox) -> bool:
    port = int(sandbox.base_url.rpartition(":")[-1])
    return any(connection.raddr and connection.raddr.port == port for connection in task.net_connections())
