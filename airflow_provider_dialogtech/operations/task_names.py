"""The names of the tasks that messages come from, with the labels that Airflow has for mapped instances."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from airflow_provider_dialogtech.journal.records import NO_INDEX, Record, task_name
from airflow_provider_dialogtech.masking import clean, mask_numbers

log = logging.getLogger(__name__)

# SQLite takes 999 values in a statement on old systems, and each instance is four.
_AT_ONCE = 200
_Instance = tuple[str, str, str, int]


def task_names(messages: Sequence[Record]) -> list[str]:
    """Return the name of each message's task, as `task_name` writes it. A label may be a phone number, so it is masked.

    :param messages: the messages.
    """
    # Inside a loop the map index does not identify an instance.
    mapped = {_instance(message) for message in messages if message.map_index >= 0 and message.loop_index == NO_INDEX}
    labels = {}
    try:
        labels = dict(_labels(sorted(mapped)))
    except Exception as error:  # of any kind: a database's own, or a driver's
        log.warning("The labels of mapped tasks cannot be read (%s).", type(error).__name__)
    return [
        task_name(message.task_id, message.map_index, message.loop_index, labels.get(_instance(message), ""))
        for message in messages
    ]


def _instance(message: Record) -> _Instance:
    return message.dag_id, message.run_id, message.task_id, message.map_index


def _labels(instances: Sequence[_Instance]) -> Iterator[tuple[_Instance, str]]:
    if not instances:
        return
    import sqlalchemy as sa
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    columns = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)
    label = TaskInstance._rendered_map_index  # the public name is the index where there is no label
    with create_session() as session:
        for start in range(0, len(instances), _AT_ONCE):
            among = sa.tuple_(*columns).in_(instances[start : start + _AT_ONCE])
            for *instance, rendered in session.execute(sa.select(*columns, label).where(among, label.is_not(None))):
                yield tuple(instance), clean(mask_numbers(rendered))
