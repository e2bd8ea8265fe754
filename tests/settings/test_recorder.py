"""What a real StatsD server hears of a real Airflow's messages and alerts."""

from pathlib import Path

from airflow_provider_dialogtech.settings.journal import AirflowRecorder
from tests.running import run_dag, statsd

DAG = Path(__file__).parent / "dags" / "dialogtech_metrics.py"


def test_messages_and_alerts_are_counted_and_timed(metadata_db, sandbox, connect_sandbox):
    connect_sandbox("metrics", extra={"from_numbers": "5554332111,5554332112"})
    sandbox.fault("throttled", to="5556667772", times=1)
    sandbox.fault("refused", to="5556667773")
    statsd().heard()
    run = run_dag(DAG)
    assert run.states["sent"] == ["success"], run.output
    ours = {
        name.removeprefix("airflow.dialogtech."): values
        for name, values in statsd().heard().items()
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
