"""Finds the known name that a misspelt one was meant to be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from airflow_provider_dialogtech.masking import mask_numbers

_LONGEST_NAME = 60
_MOST_SHOWN = 3
# Airflow's form added it to the names of fields up to Airflow 2.2.
_FORM_PREFIX = re.compile(r"^extra__[a-z0-9]+__")


def misspelt(kind: str, names: Iterable[str], known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str:
    """Name unknown names, each with the nearest known one: "an unknown key 'only_too' (nearest: only_to)".

    :param kind: the noun for a name.
    :param names: the unknown names.
    :param known: the known names.
    :param aliases: other words for known names, or for what to use instead.
    """
    meant = {normalized(name): name for name in known}
    listed = list(names)
    named = [(shown(name), _nearest(name, meant | dict(aliases or {}))) for name in listed[:_MOST_SHOWN]]
    more = f" and {len(listed) - _MOST_SHOWN} more" if len(listed) > _MOST_SHOWN else ""
    # Without a near name, the known ones say what may be meant.
    all_known = "" if any(near for _, near in named) else f" (known: {', '.join(meant.values())})"
    nouns = f"an unknown {kind}" if len(listed) == 1 else f"unknown {kind}s"
    return f"{nouns} {', '.join(name + near for name, near in named)}{more}{all_known}"


def normalized(name: str) -> str:
    """Return a name in lower case, with one underscore between its words."""
    plain = _FORM_PREFIX.sub("", name.strip().casefold())
    return re.sub(r"[\W_]+", "_", plain).strip("_")


def shown(name: str) -> str:
    """Return a name for an error. It may be a phone number that was written in the wrong place."""
    return mask_numbers(repr(name[:_LONGEST_NAME]))


def _nearest(name: str, meant: Mapping[str, str]) -> str:
    near = get_close_matches(normalized(name[:_LONGEST_NAME]), meant, n=1)
    return f" (nearest: {meant[near[0]]})" if near else ""
