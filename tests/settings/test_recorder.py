"""What a real StatsD server hears of a real Airflow's messages and alerts."""

import socket
import threading
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_dialogtech.settings.journal import AirflowRecorder
from tests.running import run_dags

DAG = Path(__file__).parent / "dags" / "dialogtech_metrics.py"


@contextmanager
def statsd():
    """A StatsD server of this machine: what it heard, by name."""
    heard: dict[str, list[str]] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        ended = threading.Event()

        def listen():
            while True:
                try:
                    received = server.recv(65536).decode()
                except TimeoutError:
                    if ended.is_set():
                        return
                    continue
                for line in received.splitlines():
                    name, value = line.split(":", 1)
                    heard.setdefault(name, []).append(value)

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield server.getsockname()[1], heard
        finally:
            ended.set()
            listener.join()


def test_messages_and_alerts_are_counted_and_timed(metadata_db, sandbox, connect_sandbox):
    connect_sandbox("metrics", extra={"from_numbers": "5554332111,5554332112"})
    sandbox.fault("throttled", to="5556667772", times=1)
    sandbox.fault("refused", to="5556667773")
    with statsd() as (port, heard):
        run = run_dags(
            [DAG],
            AIRFLOW__METRICS__STATSD_ON="True",
            AIRFLOW__METRICS__STATSD_HOST="127.0.0.1",
            AIRFLOW__METRICS__STATSD_PORT=str(port),
        )[DAG.stem]
    assert run.states["sent"] == ["success"], run.output
    ours = {
        name.removeprefix("airflow.dialogtech."): values
        for name, values in heard.items()
        if name.startswith("airflow.dialogtech.")
    }
    # The alert is a message as well.
    assert (ours["messages.sent"], ours["messages.refused"]) == (["1|c"] * 3, ["1|c"]), ours
    assert ours["throttled_replies"] == ["1|c"]
    assert (ours["alerts.sent"], ours["alerts.suppressed"]) == (["1|c"], ["1|c"])
    assert len(ours["waited"]) == 3
    for step in ("reserve", "start", "settle"):
        took = [float(value.removesuffix("|ms")) for value in ours[f"journal.{step}"]]
        assert len(took) >= 5
        assert all(0 < each < 60_000 for each in took)


def test_where_airflow_has_no_metrics_nothing_fails():
    recorder = AirflowRecorder()
    recorder.count("messages.sent")
    recorder.time("waited", 0.5)


def test_a_failing_metric_does_not_fail_a_message(monkeypatch):
    def fail():
        raise RuntimeError

    monkeypatch.setattr("airflow_provider_dialogtech._compat.stats", fail)
    AirflowRecorder().count("messages.sent")
    AirflowRecorder().time("waited", 0.5)
