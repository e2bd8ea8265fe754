"""How soon is a DAG file that cannot be parsed texted, what does that cost the dag-processor, and what of 200 files?

Airflow's own dag-processor parses the files. First single broken files, one dag-processor each: from what Airflow
wrote into its database to the message's arrival. Then two Airflows in turns parse many broken files, one without
`alert_on`, one with it and an API that accepts connections and never answers: from the first error that Airflow writes
to the last one. At last the same files with an API that works: how many messages each person gets.

    python -m benchmarks.import_errors --help
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_provider_dialogtech.alerts.reported_errors import NAME, ReportedErrors
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tools.airflow_home import AirflowHome

PEOPLE = ["5556667701", "5556667702"]
BROKEN = "from airflow import DAG\nregions = {}\nregions['region']\n"
KEYS = {"access_key": "access-of-the-benchmark", "secret_access_key": "secret-of-the-benchmark"}


class Parsing:
    """An Airflow that has a dag-processor only, and only while it is asked to parse.

    :param folder: its home, beside it its DAG files.
    :param api_url: the API that messages; empty for an Airflow without `alert_on`.
    :param files: how many of its DAG files are broken.
    """

    def __init__(self, folder: Path, api_url: str, files: int) -> None:
        dags = folder.with_name(f"{folder.name}_dags")
        dags.mkdir()
        for n in range(files):
            (dags / f"broken_{n}.py").write_text(BROKEN)
        asked = {"AIRFLOW__DIALOGTECH__ALERT_ON": "import_error,dag_failed"} if api_url else {}
        self.home = AirflowHome(folder, dags, asked)
        self.home.airflow("db", "migrate")
        if api_url:
            self.home.add_connections({"dialogtech_default": _connection(api_url)})

    def parse(self) -> list[float]:
        """Parse all files once, as if nothing had been texted; return when Airflow wrote each error, sorted."""
        for file in (NAME, "dialogtech_journal.db"):
            (self.home.folder / file).unlink(missing_ok=True)
        self.home.airflow("dag-processor", "--num-runs", "1")
        self._wait_for_the_text()
        return sorted(_seconds(row[0]) for row in self.home.metadata.rows("SELECT timestamp FROM import_error"))

    def _wait_for_the_text(self) -> None:
        """Wait for the process that messages, which goes on when the dag-processor has ended."""
        while (file := ReportedErrors.lock(str(self.home.folder))) is None:
            time.sleep(0.1)
        file.close()


def _connection(api_url: str) -> dict[str, Any]:
    keys = {"login": KEYS["access_key"], "password": KEYS["secret_access_key"]}
    extra = {"from_numbers": "5554332111", "alert_to": PEOPLE}
    return {"conn_type": "dialogtech", "host": api_url, **keys, "extra": extra}


def _seconds(written: str) -> float:
    return datetime.fromisoformat(written).replace(tzinfo=timezone.utc).timestamp()


@contextmanager
def silent_api() -> Iterator[str]:
    """Accept connections as a system does that hangs; give the URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/ibp_api.php"


def from_parse_to_text(folder: Path, trials: int) -> None:
    """Print how long after Airflow has written an error its text arrives."""
    with running_sandbox(**KEYS) as sandbox:
        took = []
        for trial in range(trials):
            sandbox.forget()
            (written,) = Parsing(folder / f"one_{trial}", sandbox.url, 1).parse()
            took.append(min(text["at"] for text in sandbox.accepted()) - written)
    print(
        f"from the parse of a broken file to its text: {statistics.median(took):.1f} s (median of {trials}), "
        f"{min(took):.1f} to {max(took):.1f} s",
        flush=True,
    )


def beside_none(folder: Path, files: int, passes: int) -> None:
    """Print how long the dag-processor takes with and without `alert_on`, in turns."""
    with silent_api() as url:
        airflows = {"without": Parsing(folder / "without", "", files), "with": Parsing(folder / "with", url, files)}
        took: dict[str, list[float]] = {name: [] for name in airflows}
        for number in range(passes + 1):
            for name, airflow in airflows.items():
                written = airflow.parse()
                assert len(written) == files, f"{len(written)} of {files} files were parsed"
                if number:  # the first pass compiles, and writes new rows
                    took[name].append(written[-1] - written[0])
                print(f"  {name} alert_on, pass {number}: {written[-1] - written[0]:.2f} s", flush=True)
    without, beside = (statistics.median(took[name]) for name in ("without", "with"))
    print(
        f"parsing {files} broken files: {without:.2f} s without, {beside:.2f} s with a dead API: {beside / without:.3f}"
    )


def many(folder: Path, files: int) -> None:
    """Print how many messages each person gets about many broken files."""
    with running_sandbox(**KEYS) as sandbox:
        airflow = Parsing(folder / "many", sandbox.url, files)
        airflow.parse()
        airflow.home.airflow("dag-processor", "--num-runs", "1")
        until = time.monotonic() + 30
        while not sandbox.accepted() and time.monotonic() < until:
            time.sleep(0.2)
        texts = sandbox.accepted()
    each = Counter(text["to"] for text in texts)
    print(f"{files} broken files, parsed twice: messages to each of {len(PEOPLE)} people: {sorted(each.values())}")
    print(f"  {texts[0]['message']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--trials", type=int, default=5, help="single broken files; 0 leaves the first and the last part out"
    )
    parser.add_argument("--files", type=int, default=200, help="broken files")
    parser.add_argument(
        "--passes", type=int, default=5, help="passes over them, with and without alert_on; 0 leaves them out"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.trials:
            from_parse_to_text(folder, options.trials)
            many(folder, options.files)
        if options.passes:
            beside_none(folder, options.files, options.passes)


if __name__ == "__main__":
    main()
