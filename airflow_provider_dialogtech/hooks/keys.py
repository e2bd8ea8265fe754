"""What the journal calls a text and an account: digests, so that no phone number and no access key stands in it.

Under one idempotency key a text goes out once.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from airflow_provider_dialogtech.masking import digest


def task_key(dag_id: str, run_id: str, task_id: str, map_index: int, recipient: str, *more: str) -> str:
    """Return the key of a task's text.

    Neither the try number nor the text belongs to it: a template with a time or a try number in it differs on every
    retry.

    :param recipient: the number the text goes to, in digits.
    :param more: what else sets texts to one recipient apart.
    """
    return digest("task", dag_id, run_id, task_id, map_index, recipient, *more)


def key_in(context: Mapping[str, Any], recipient: str, *more: str) -> str:
    """Return the key of a text of the task that runs in this Airflow context."""
    ti = context["ti"]
    return task_key(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, recipient, *more)


def given_key(key: object) -> str:
    """Return the key a user has named, in the form that the journal keeps."""
    return digest("given", str(key))


def default_key(recipient: str, text: str) -> str:
    """Return the key of a text sent by hand: in a task one for each text and run, elsewhere always a new one."""
    from airflow_provider_dialogtech._compat import get_current_context

    try:
        context = get_current_context()
    except Exception:  # each Airflow version has its own way of saying that no task runs here
        return uuid.uuid4().hex
    return key_in(context, recipient, digest(text))


def account_of(access_key: str) -> str:
    """Return the journal's name of an account."""
    return digest("account", access_key)
