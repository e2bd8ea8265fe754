"""Where the page "Texts" is, below Airflow's own address."""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

PREFIX = "/dialogtech"


def base_path() -> str:
    """Return the path that `[api] base_url` puts before every address of Airflow; empty for none."""
    from airflow.configuration import conf

    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")


def page_path(**filters: str) -> str:
    """Return the page's path.

    :param filters: what it shows, by the page's own parameters: `dag_id`, `run_id`, `task_id`.
    """
    return f"{base_path()}{PREFIX}/" + (f"?{urlencode(filters)}" if filters else "")


def task_path(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the path of a task instance in Airflow's UI."""
    dag, run, task = (quote(part, safe="") for part in (dag_id, run_id, task_id))
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    return f"{base_path()}/dags/{dag}/runs/{run}/tasks/{task}{mapped}"


def login_path() -> str:
    """Return the path of Airflow's login, which leads back to the page."""
    return f"{base_path()}/api/v2/auth/login?{urlencode({'next': page_path()})}"
