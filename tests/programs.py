"""Programs that some tests need and that a machine may lack.

A test that needs a missing one is skipped, and pytest counts these tests at its end. Where the environment variable
`DIALOGTECH_TESTS_REQUIRE` lists the program, such a test fails instead.
"""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable

import pytest

# The executables that will do for a program; its name is the name of its Debian package.
_EXECUTABLES = {
    "pgbouncer": ["pgbouncer"],
    "chromium": ["chromium", "chromium-browser", "google-chrome", "chrome"],
}
_REQUIRED = os.environ.get("DIALOGTECH_TESTS_REQUIRE", "").split(",")


def path_of(program: str) -> str | None:
    """Return the path of a program's executable; None if it is not installed."""
    return next(filter(None, map(shutil.which, _EXECUTABLES[program])), None)


def require(program: str) -> None:
    """Skip the test if a program is not installed; let it fail if the environment requires the program."""
    if path_of(program) is None:
        give_up = pytest.fail if program in _REQUIRED else pytest.skip
        give_up(f"for want of {program} (apt-get install {program})")


def summary(skipped: Iterable[pytest.TestReport]) -> list[str]:
    """Return a line for each program for want of which tests were skipped."""
    wants = [re.search(r"for want of .*", str(report.longrepr[2])) for report in skipped]
    counts = Counter(want[0] for want in wants if want)
    return [f"{n} {'test was' if n == 1 else 'tests were'} skipped {want}" for want, n in counts.items()]
