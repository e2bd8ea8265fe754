"""Shows the docstrings of a class where a page links to its source: the site has mkdocstrings, other readers have not.

A page says which, with the options of mkdocstrings, in a comment above the link:

    <!-- reference: package.module.Class
    options:
      members: false
    -->
    Every argument: [`Class`](../package/module.py).
"""

from __future__ import annotations

import re
from textwrap import indent
from typing import Any

_REFERENCE = re.compile(r"^<!-- reference: (\S+)\n([^>]*)-->\n.+\n", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this for every page."""
    return _REFERENCE.sub(lambda found: f"::: {found[1]}\n{indent(found[2], ' ' * 4)}", markdown)
