"""How a task ends that has not sent all of its texts: its log says what became of them before the traceback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech._compat import AirflowException, AirflowFailException
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, InvalidConnection, InvalidMessage, Refused

if TYPE_CHECKING:
    from airflow_provider_dialogtech.bulk.report import Report
    from airflow_provider_dialogtech.bulk.stop import ListFailed

log = logging.getLogger(__name__)

# A retry could send none of these, or could send it twice. Once its advice is taken, the task is to be run again.
_FINAL = (InvalidMessage, InvalidConnection, Refused, InDoubt)
_AGAIN = "Then clear the task."
# Airflow's log page wraps nothing: this is what a laptop's window shows of a line, beside the list of tasks.
WIDTH = 90


def ending_of(error: DialogTechError) -> Exception:
    """Log what became of the text, and return what the task raises: after its `except` block, for a short traceback.

    :param error: what happened to the text and what to do now, in its words.
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
