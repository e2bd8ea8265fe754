"""How a task ends whose text was not sent: its log says what became of the text before the traceback."""

from __future__ import annotations

import logging
from textwrap import fill

from airflow_provider_dialogtech._compat import AirflowFailException
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, InvalidConnection, InvalidMessage, Refused

log = logging.getLogger(__name__)

# A retry could send none of these, or could send it twice.
_FINAL = (InvalidMessage, InvalidConnection, Refused, InDoubt)
# Airflow's log page wraps nothing: this is what a laptop's window shows of a line, beside the list of tasks.
WIDTH = 90


def ending_of(error: DialogTechError) -> Exception:
    """Log what became of the text, and return what the task raises: after its `except` block, for a short traceback.

    :param error: what happened to the text and what to do now, in its words.
    """
    log_ending(str(error))
    if isinstance(error, _FINAL):
        return AirflowFailException(str(error))
    # Its own type tells an alert what happened; the frames that it came through help nobody.
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def log_ending(words: str) -> None:
    """Log how a task failed, in lines that are read without scrolling.

    :param words: what became of the text, why, and what to do now.
    """
    log.error("%s", fill(words, WIDTH, break_long_words=False, break_on_hyphens=False))
