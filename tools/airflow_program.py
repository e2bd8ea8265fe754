"""Runs a component of Airflow with low priority, for example `airflow_program.py scheduler`."""

import gc
import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path


def main() -> None:
    sys.path.pop(0)  # this folder, whose modules would shadow others
    # Linux may give each session the same share of processor time, and the component runs in a session of its own.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("5")
    os.nice(5)
    # The garbage collector takes a fifth of Airflow's start-up time.
    gc.set_threshold(100_000, 50, 100)
    sys.argv[0] = "airflow"
    runpy.run_module("airflow", run_name="__main__")


if __name__ == "__main__":
    main()
