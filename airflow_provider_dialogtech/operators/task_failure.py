"""How a task ends whose text was not sent: in its log, what became of the text stands before the traceback."""

from __future__ import annotations

import logging

from airflow_provider_dialogtech._compat import AirflowFailException
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, InvalidConnection, InvalidMessage, Refused

log = logging.getLogger(__name__)

# A retry could send none of these, or could send it twice.
_FINAL = (InvalidMessage, InvalidConnection, Refused, InDoubt)


def ending_of(error: DialogTechError) -> Exception:
    """Log what became of the text, and return what the task raises: after its `except` block, for a short traceback.

    :param error: what happened to the text and what to do now, in its words.
    """
    log.error("%s", error)
    if isinstance(error, _FINAL):
        return AirflowFailException(str(error))
    # Its own type tells an alert what happened; the frames that it came through tell nobody anything.
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
