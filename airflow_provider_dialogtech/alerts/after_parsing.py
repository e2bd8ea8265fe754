"""`python -m airflow_provider_dialogtech.alerts.after_parsing DESCRIPTOR ERROR`: text that DAG files cannot be parsed.

The listener starts this as a process of its own: it is called in the dag-processor's open transaction, where nothing
may wait. This process first waits until Airflow has parsed the files that broke together: so one message counts them
all, and Airflow, whose import takes seconds of a processor, is imported when nobody parses.
"""

from __future__ import annotations

import logging
import signal
import sys
import time

from airflow_provider_dialogtech.alerts.reported_errors import ReportedErrors

# The dag-processor parses its next file within this time, unless that is slow.
SECONDS_WITHOUT_ERRORS = 3.0
MOST_SECONDS_OF_ERRORS = 30.0
# A database that does not answer must not keep this process, and so every later one, for ever.
_MOST_SECONDS = 300


def main(descriptor: int, error: str) -> None:
    """Wait until the files are parsed, then message.

    :param descriptor: the file of the errors that were texted; its lock was taken by the listener.
    :param error: the error that the listener was told.
    """
    signal.alarm(_MOST_SECONDS)
    reported = ReportedErrors(descriptor)
    wait_for_the_last(reported)
    from airflow_provider_dialogtech.alerts.import_errors import alert_new_errors

    alert_new_errors(reported, error)


def wait_for_the_last(reported: ReportedErrors) -> None:
    """Return when no error has been noted for some seconds. Errors without end are not waited for.

    :param reported: the file in which the listener notes them.
    """
    until = time.monotonic() + MOST_SECONDS_OF_ERRORS
    noted = None
    while noted != reported.noted and time.monotonic() < until:
        noted = reported.noted
        time.sleep(SECONDS_WITHOUT_ERRORS)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    main(int(sys.argv[1]), sys.argv[2])
