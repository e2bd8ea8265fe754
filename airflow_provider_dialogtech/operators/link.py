"""The link from a task that has ended to its texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dialogtech._compat import HAS_PAGES, BaseOperatorLink
from airflow_provider_dialogtech.page.place import page_path

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import BaseOperator

# As long as a journal remembers texts by default.
_HOURS = 24 * 90


class TextsLink(BaseOperatorLink):
    """Opens the page "Texts" at what one task has sent in its run."""

    name = "Texts"

    def get_link(self, operator: BaseOperator, *, ti_key: object) -> str:  # noqa: ARG002
        """Return the page's address.

        :param ti_key: the task instance.
        """
        filters = {name: str(getattr(ti_key, name)) for name in ("dag_id", "run_id", "task_id")}
        return page_path(**filters, hours=str(_HOURS))


LINKS = (TextsLink(),) if HAS_PAGES else ()
