"""Shows the code blocks of docstrings, which stand there in Airflow's form (`.. code-block:: python`)."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

from griffe import Extension, Object

_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:[ ]{4}.*\n|\n)+)", re.MULTILINE)


class RstCode(Extension):
    """Turns them into fenced blocks before the docstring is read."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Griffe calls this for every object it has found."""
        if obj.docstring:
            obj.docstring.value = _BLOCK.sub(
                lambda found: f"```{found[1]}\n{dedent(found[2]).strip()}\n```\n\n", f"{obj.docstring.value}\n"
            )
