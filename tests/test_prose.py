"""The worst habits of the project's prose are neither in the documentation nor in the package."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(page for page in ROOT.glob("*.md") if page.name != "CONTRIBUTING.md"),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "benchmarks").glob("*.md"),
]
SOURCES = [
    file
    for folder in ("airflow_provider_dialogtech", "example_dags")
    for file in (ROOT / folder).rglob("*")
    if file.suffix in {".py", ".js", ".html"}
]
# What to write instead of each is in CONTRIBUTING.md.
HABITS = {
    "so many": r"so many (?!\w+ that)",
    "what became of": r"what (?:became|becomes) of",
    "is away": r"\b(?:is|are|stays|was) away\b(?! from)",
    "somebody": r"\b(?:some|any|no)body\b|\bwhoever\b",
    "tells": r"\btells?\b|\bgets? to know\b",
    "a text": r"\btexted\b|\bsent texts\b|\btexts (?:left|are sent|were sent)\b",
    "a trailing too": r", too[.;:]",
    "for want of": r"\bfor want of\b",
}


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("files", [PAGES, SOURCES], ids=["pages", "sources"])
def test_a_habit_is_gone(files, habit):
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in files
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(HABITS[habit], line, re.IGNORECASE)
    ]
    assert found == []


# A page that is generated from the code is as long as the code needs, and performance has a table for each decision.
LONGEST = {"error-messages": None, "performance": 900}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_a_page_is_short_enough_to_be_read(page):
    longest = LONGEST.get(page.stem, 800)
    assert longest is None or len(page.read_text(encoding="utf-8").split()) <= longest
