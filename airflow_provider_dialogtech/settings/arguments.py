"""The checks of a send's arguments that need nothing else, made before anything is done."""

from __future__ import annotations

import sys
from datetime import timedelta

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.safe_repr import safe_repr

_CHOICES = {"in_doubt": ("fail", "resend"), "on_too_long": ("fail", "truncate"), "invalid": ("fail", "skip")}


def check_choices(**arguments: object) -> None:
    """Check `in_doubt`, `on_too_long` and `invalid`.

    :raises InvalidMessage: when one of them has no such value.
    """
    for name, value in arguments.items():
        if not isinstance(value, str) or value not in _CHOICES[name]:
            wanted = " or ".join(f'"{choice}"' for choice in _CHOICES[name])
            raise InvalidMessage(f"{name} must be {wanted}, not {safe_repr(value)}", before_any=True)


def seconds_of(max_wait: timedelta | float | None) -> float | None:
    """Return `max_wait` in seconds; None waits as long as it takes.

    :raises InvalidMessage: when it is no length of time, or a negative one.
    """
    if max_wait is None:
        return None
    seconds = max_wait.total_seconds() if isinstance(max_wait, timedelta) else max_wait
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= sys.float_info.max:
        raise InvalidMessage(
            f"max_wait must be a number of seconds or a timedelta, not {safe_repr(max_wait)}", before_any=True
        )
    return float(seconds)
