import json
from pathlib import Path

UNCHANGED = Path(__file__).parents[2] / "tools" / "mutants.json"


def test_each_change_that_changes_nothing_is_of_a_line_that_is_there_and_says_why():
    for each in json.loads(UNCHANGED.read_text()):
        lines = {line.strip() for line in (UNCHANGED.parents[1] / each["module"]).read_text().splitlines()}
        assert each["before"] in lines, each
        assert each["why"], each
