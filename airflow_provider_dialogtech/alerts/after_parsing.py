"""`python -m airflow_provider_dialogtech.alerts.after_parsing DESCRIPTOR ERROR`: alert that DAG files do not parse.

The listener runs inside the dag-processor's open transaction, where it must not wait, so it starts this process. The
process waits until Airflow has parsed all files that broke together. One message then counts them all, and the import
of Airflow, which takes seconds of CPU time, does not delay the parsing.
"""

from __future__ import annotations

import logging
import signal
import sys
import time

from airflow_provider_dialogtech.alerts.reported_errors import ReportedErrors

# The dag-processor parses its next file within this time, unless the file is slow to parse.
SECONDS_WITHOUT_ERRORS = 3.0
MOST_SECONDS_OF_ERRORS = 30.0
# This process holds the lock that every later one needs, so a database that does not answer must not block it.
_MOST_SECONDS = 300


def main(descriptor: int, error: str) -> None:
    """Wait until the files are parsed, then send the alert.

    :param descriptor: the open file of reported errors, which the listener has locked.
    :param error: the error that Airflow reported to the listener.
    """
    signal.alarm(_MOST_SECONDS)
    reported = ReportedErrors(descriptor)
    wait_for_the_last(reported)
    from airflow_provider_dialogtech.alerts.import_errors import alert_new_errors

    alert_new_errors(reported, error)


def wait_for_the_last(reported: ReportedErrors) -> None:
    """Wait until the listener notes no more errors, at most `MOST_SECONDS_OF_ERRORS`.

    :param reported: the file in which the listener notes each error.
    """
    until = time.monotonic() + MOST_SECONDS_OF_ERRORS
    noted = None
    while noted != reported.noted and time.monotonic() < until:
        noted = reported.noted
        time.sleep(SECONDS_WITHOUT_ERRORS)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    main(int(sys.argv[1]), sys.argv[2])
