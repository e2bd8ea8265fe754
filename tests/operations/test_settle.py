"""Settling a message, and its entry in Airflow's audit log, where one of both fails."""

from contextlib import contextmanager

import pytest

from airflow_provider_dialogtech.operations.messages import AuditLogUnavailable, settle
from tests.operations.test_look_up import a_message


class Settled:
    """A journal that settles every message."""

    def resolve(self, _id, _outcome, *, by):
        return bool(by)


def test_an_entry_that_fails_after_the_message_was_settled_is_reported_as_such(monkeypatch):
    class Session:
        def add(self, _entry):
            pass

        def flush(self):
            pass

    @contextmanager
    def fails_at_commit():
        yield Session()
        raise OSError("disk full: secret")

    monkeypatch.setattr("airflow.utils.session.create_session", fails_at_commit)
    with pytest.raises(AuditLogUnavailable) as failed:
        settle(a_message(), "sent", Settled(), by="ada", through="the page Messages")
    assert "The message 0 was settled: Airflow's audit log could not be written (OSError)" in str(failed.value)
    assert failed.value.__cause__ is failed.value.__context__ is None
