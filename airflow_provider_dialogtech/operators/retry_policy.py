"""When Airflow runs the task of a message again, on Airflow 3.3 and newer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

try:
    from airflow.sdk.definitions.retry_policy import RetryAction, RetryDecision, RetryPolicy
except ImportError as error:
    raise ImportError("DialogTechRetryPolicy requires Airflow 3.3 or newer. Set retry_delay instead.") from error

from airflow_provider_dialogtech.exceptions import Throttled, WaitTooLong
from airflow_provider_dialogtech.hooks.dialogtech import seconds_of

# Airflow 3.4 fails a task whose reschedule comes due before the scheduler has read that its process ended.
SHORTEST_DELAY = timedelta(seconds=30)


class DialogTechRetryPolicy(RetryPolicy):
    """Run a task again when its message may be sent, instead of after `retry_delay`. Airflow 3.3 and newer.

    .. code-block:: python

        DialogTechSendSmsOperator(
            task_id="notify_owner",
            to="(555) 666-7777",
            message="The load of {{ run_id }} is done.",
            max_wait=60,
            retries=3,
            retry_policy=DialogTechRetryPolicy(),
        )

    A message without a slot within `max_wait` is tried again when the limits allow it, and a throttled one when
    DialogTech asked for it; at the earliest after 30 seconds. Airflow 3.4 reschedules the task for that: it uses none
    of its `retries`, and calls no `on_retry_callback`. Airflow 3.3 uses a retry. The task keeps no slot meanwhile, so
    other messages may take it: where slots are scarce, `deferrable=True` is better. After any other error, `retries`
    and `retry_delay` apply.

    :param reschedule_timeout: how long Airflow 3.4 reschedules a try before it uses a retry, as a timedelta or in
        seconds. 0: never reschedule.
    :raises InvalidMessage: when `reschedule_timeout` is invalid.
    """

    def __init__(self, *, reschedule_timeout: timedelta | float = timedelta(hours=1)) -> None:
        seconds = seconds_of(reschedule_timeout, "reschedule_timeout") or 0.0
        self.reschedule_timeout = timedelta(seconds=min(seconds, timedelta.max.total_seconds()))

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002
        max_tries: int,  # noqa: ARG002
        context: Any = None,  # noqa: ARG002
    ) -> RetryDecision:
        """Decide when the task runs again.

        :param exception: the task's error.
        :param try_number: the try that failed.
        :param max_tries: the task's tries.
        :param context: the task's context.
        """
        wait = _wait_of(exception)
        if wait is None:
            return RetryDecision.default()
        delay, reason = max(wait, SHORTEST_DELAY), str(exception)
        if not self.reschedule_timeout or not hasattr(RetryAction, "RESCHEDULE"):
            return RetryDecision.retry(delay, reason)
        # Before Airflow 3.4 there is no such decision.
        decide: Callable[..., RetryDecision] = getattr(RetryDecision, "reschedule")  # noqa: B009
        return decide(delay, reschedule_timeout=self.reschedule_timeout, reason=reason)


def _wait_of(error: BaseException) -> timedelta | None:
    """Return how long a message must wait; None if the error does not say so."""
    if isinstance(error, WaitTooLong) and error.sendable_at is not None:
        return error.sendable_at - datetime.now(timezone.utc)
    if isinstance(error, Throttled) and error.retry_after is not None:
        return timedelta(seconds=error.retry_after)
    return None
