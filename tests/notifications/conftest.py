from tests.alerts.conftest import alerting, own_local_journals

__all__ = ["alerting", "own_local_journals"]
