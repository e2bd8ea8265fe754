"""Runs Airflow's commands in one process, because Airflow's start-up takes most of a command's time.

Each line of the input is a command as JSON: its arguments, its environment, and the files for its output and errors.
Each line of the output is the status of a command. This file imports nothing of this repository.
"""

import gc
import json
import os
import sys
import traceback


def main() -> None:
    gc.set_threshold(100_000, 50, 100)  # the collector takes a fifth of Airflow's start-up time
    sys.path.pop(0)  # this folder, whose modules would shadow others
    statuses = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        command = json.loads(line)
        for descriptor, name in enumerate((command["output"], command["errors"]), 1):
            file = os.open(name, os.O_WRONLY | os.O_APPEND)
            os.dup2(file, descriptor)
            os.close(file)
        os.environ.clear()
        os.environ.update(command["environment"])
        print(_run(command["arguments"]), file=statuses, flush=True)


def _run(arguments: list[str]) -> int:
    from airflow.__main__ import main as airflow

    sys.argv = ["airflow", *arguments]
    status = 0
    try:
        airflow()  # type: ignore[no-untyped-call]
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    main()
