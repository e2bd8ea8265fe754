"""Measures the sentence of every error that any test meets.

A task's log shows an error in lines of 90 characters. The first four say what happened, where, and the first thing to
do; all of it fits six. An error about a list's rows names up to twenty rows, each in two lines at most.
"""

import re
from collections.abc import Iterator

import pytest

from airflow_provider_dialogtech.exceptions import DialogTechError

_OF_ROWS = re.compile(r"\d+ of [\d,]+ rows? cannot be sent: ")
_LINES_TO_ACT, _LINES, _LINES_OF_ROWS = 4, 6, 42


def too_long(error: DialogTechError, sentence: str) -> bool:
    """Return whether an error's sentence is longer than it may be."""
    from airflow_provider_dialogtech.operators.base import WIDTH  # imports Airflow, which reads its settings then

    if _OF_ROWS.match(error.reason):
        return len(sentence) > _LINES_OF_ROWS * WIDTH
    first_advice = re.split(r"(?<=[a-z`'\"]\.) ", error.advice)[0]
    to_act = len(sentence) - len(error.advice) + len(first_advice)
    return to_act > _LINES_TO_ACT * WIDTH or len(sentence) > _LINES * WIDTH


@pytest.fixture(autouse=True)
def sentences_are_short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail each test that meets an error with a longer sentence."""
    write, found = DialogTechError.__str__, list[str]()

    def written(error: DialogTechError) -> str:
        sentence = write(error)
        if too_long(error, sentence):
            found.append(sentence)
        return sentence

    monkeypatch.setattr(DialogTechError, "__str__", written)
    yield
    assert found == []
