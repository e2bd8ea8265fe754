"""A program of Airflow beside others that have less time to wait: `airflow_program.py scheduler`, for instance."""

import gc
import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path


def main() -> None:
    sys.path.pop(0)  # this folder, whose packages have the names of others
    # It runs in a session of its own, and Linux may give each session as much time as all tests have together.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("5")
    os.nice(5)
    # The garbage collector takes a fifth of the time in which Airflow starts.
    gc.set_threshold(100_000, 50, 100)
    sys.argv[0] = "airflow"
    runpy.run_module("airflow", run_name="__main__")


if __name__ == "__main__":
    main()
