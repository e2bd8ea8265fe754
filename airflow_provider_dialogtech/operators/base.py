"""What the operators share: the default pool, the link to a task's messages, and how a task fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from textwrap import fill
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech._compat import (
    HAS_PAGES,
    AirflowException,
    AirflowFailException,
    BaseOperator,
    BaseOperatorLink,
    OperatorPartial,
)
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, InvalidConnection, InvalidMessage, Refused
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.settings.config import page_path, pool_of

if TYPE_CHECKING:
    from airflow_provider_dialogtech.bulk.failure_policy import ListFailed
    from airflow_provider_dialogtech.bulk.report import Report

log = logging.getLogger(__name__)


# As long as a journal remembers messages by default.
_HOURS = 24 * 90


class MessagesLink(BaseOperatorLink):
    """Opens the page "Texts" at what one task has sent in its run."""

    name = "Messages"

    def get_link(self, operator: BaseOperator, *, ti_key: object) -> str:  # noqa: ARG002
        """Return the page's address.

        :param ti_key: the task instance.
        """
        filters = {name: str(getattr(ti_key, name)) for name in ("dag_id", "run_id", "task_id")}
        return page_path(**filters, hours=str(_HOURS))


LINKS = (MessagesLink(),) if HAS_PAGES else ()


DEFAULT_CONN_ID = "dialogtech_default"


class PooledOperator(BaseOperator):
    """A task that messages through a DialogTech connection, by default in the connection's pool.

    :param dialogtech_conn_id: the connection. (templated)
    :param pool: the pool. By default the one of the connection's name when the connection is listed in
        `[dialogtech] conn_ids`, else Airflow's default pool.
    """

    operator_extra_links = LINKS

    # Named here, a pool from `default_args` arrives here too, and wins.
    def __init__(self, *, dialogtech_conn_id: str = DEFAULT_CONN_ID, pool: str | None = None, **kwargs: Any) -> None:
        super().__init__(pool=pool or pool_of(dialogtech_conn_id), **kwargs)
        self.dialogtech_conn_id = dialogtech_conn_id

    @cached_property
    def hook(self) -> DialogTechHook:
        """The hook of the task's connection."""
        return DialogTechHook(self.dialogtech_conn_id)

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Begin a mapped task. Airflow takes its pool from here alone: it makes no operator before the task runs.

        A task that is mapped over connections gets the pool of the default connection. Give it another one with `pool`.
        """
        partial = super().partial(**kwargs)
        if pool := default_pool(partial.kwargs["dag"], partial.kwargs["task_group"], kwargs):
            partial.kwargs["pool"] = pool
        return partial


def default_pool(dag: Any, group: Any, kwargs: Mapping[str, Any]) -> str | None:
    """Return the pool of a mapped task where nobody has given it one; None to leave it as it is.

    :param dag: its DAG.
    :param group: its task group.
    :param kwargs: its own arguments.
    """
    layers = (dag and dag.default_args, group and group.default_args, kwargs.get("default_args"), kwargs)
    given = {name: value for layer in layers for name, value in (layer or {}).items()}
    return None if given.get("pool") else pool_of(given.get("dialogtech_conn_id", DEFAULT_CONN_ID))


# A retry could send none of these, or could send it twice. Once its advice is taken, the task is to be run again.
_FINAL = (InvalidMessage, InvalidConnection, Refused, InDoubt)
_AGAIN = "Then clear the task."
# Airflow's log page wraps nothing: this is what a laptop's window shows of a line, beside the list of tasks.
WIDTH = 90


def ending_of(error: DialogTechError) -> Exception:
    """Log what became of the message, and return what the task raises: after its `except` block, for a short traceback.

    :param error: what happened to the message and what to do now, in its words.
    """
    if isinstance(error, _FINAL):
        words = f"{error} {_AGAIN}"
        _log_ending(words)
        return AirflowFailException(words)
    _log_ending(str(error))
    # Its own type tells an alert what happened; the frames that it came through help nobody.
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def ending_of_list(end: ListFailed, report: Report) -> Exception:
    """Log what became of a list, and return what the task raises: after its `except` block.

    :param end: how the list ended.
    """
    _log_ending(f"{end}{report.in_one_line()}")
    return (AirflowFailException if end.final else AirflowException)(f"{end}{report.in_lines()}")


@contextmanager
def pushing_summary(report: Report, ti: Any) -> Iterator[None]:
    """Push the summary of a list also when its task fails, which Airflow itself does only for one that succeeds.

    :param ti: the task that runs; None pushes nothing.
    """
    try:
        yield
    except BaseException as end:
        try:
            if ti is not None:
                ti.xcom_push(key="return_value", value=report.summary())
        except Exception:  # of any kind: Airflow may have taken the task for ended
            log.warning("The summary could not be pushed to XCom. %s", report.in_words(), exc_info=True)
        if not isinstance(end, Exception):  # Airflow 2 stops a task so
            log.warning("Stopped. %s", report.in_lines())
        raise


def _log_ending(words: str) -> None:
    """Log how a task failed, in lines that are read without scrolling."""
    log.error("%s", fill(words, WIDTH, break_long_words=False, break_on_hyphens=False))
