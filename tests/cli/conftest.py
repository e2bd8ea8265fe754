import json
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_dialogtech import cli


@dataclass(frozen=True)
class Ran:
    """The output and the exit code of a command."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of `--output json`."""
        (line,) = [line for line in self.out.splitlines() if line.startswith(("[{", "[]"))]
        return json.loads(line)


@pytest.fixture
def run(capsys):
    """Run a command as `python -m airflow_provider_dialogtech` does: `run("messages", "list")`."""

    def running(*arguments: str) -> Ran:
        capsys.readouterr()
        code: Any = 0
        try:
            cli.main(list(arguments))
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return running


@pytest.fixture
def rows_of(run):
    """Run a command that succeeds, and return its rows."""

    def running(*arguments: str) -> list[dict[str, Any]]:
        ran = run(*arguments, "--output", "json")
        assert ran.code == 0, ran.err
        return ran.rows

    return running
