"""`python -m tools.mutate`: make random small changes in the code, one at a time, and report those that pass all tests.

Cosmic Ray makes the changes: another comparison, another number, `or` for `and`, a further `not`. Each is tried in a
copy of the repository, with the tests of the changed module. `tools/mutants.json` lists the changes that no test can
detect, with the reason; they are not tried.
"""

from __future__ import annotations

import argparse
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice, repeat
from pathlib import Path

from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec

from tools.mutants import PACKAGE, Mutant, Unchanged, mutants_of

FOLDERS = ("journal", "delivery", "sms", "api", "alerts", "operations")
# The tests of modules that a test file of the same name does not cover alone; fast ones first.
TESTS = {
    "api": ("tests/api", "tests/hostile/test_replies.py"),
    "bulk/rows": (
        "tests/bulk/test_rows.py",
        "tests/bulk/test_report.py",
        "tests/bulk/test_check.py",
        "tests/hostile/test_documented.py",
    ),
    "journal/backend": (
        "tests/journal/test_backend.py",
        "tests/journal/test_clock_readings.py",
        "tests/journal/test_patience.py",
    ),
    "journal/errors": ("tests/journal/test_errors.py", "tests/journal/test_store.py"),
    "journal/journal": (
        "tests/journal/test_settling.py",
        "tests/journal/test_patience.py",
        "tests/journal/test_journal.py",
        "tests/journal/test_preview.py",
    ),
    "journal/limits": ("tests/journal/test_limits.py", "tests/journal/test_schedules.py"),
    "journal/slots": ("tests/journal/test_slots.py", "tests/journal/test_schedules.py"),
    "journal/postgres": (
        "tests/journal/test_schema.py",
        "tests/journal/test_patience.py",
        "tests/journal/test_watchdog.py",
        "tests/journal/test_store.py",
        "tests/journal/test_journal.py",
    ),
    "journal/records": ("tests/journal/test_records.py", "tests/journal/test_journal.py"),
    "journal/planner": ("tests/journal/test_planner.py", "tests/journal/test_journal.py"),
    "journal/schema": ("tests/journal/test_schema.py", "tests/journal/test_store.py", "tests/journal/test_upgrades.py"),
    "journal/sqlite": (
        "tests/journal/test_sqlite.py",
        "tests/journal/test_settling.py",
        "tests/journal/test_patience.py",
        "tests/journal/test_store.py",
        "tests/journal/test_journal.py",
    ),
    "journal/states": ("tests/journal/test_states.py",),
    "journal/statements": (
        "tests/journal/test_states.py",
        "tests/journal/test_settling.py",
        "tests/journal/test_journal.py",
        "tests/journal/test_statements.py",
        "tests/operations",
    ),
    "journal/store": ("tests/journal/test_patience.py", "tests/journal/test_urls.py", "tests/journal/test_store.py"),
    "journal/alert_statements": (
        "tests/journal/test_cooldown_in_time.py",
        "tests/journal/test_dedup.py",
        "tests/journal/test_resolve.py",
    ),
    "journal/dedup": (
        "tests/journal/test_claiming.py",
        "tests/journal/test_stored_alert.py",
        "tests/journal/test_cooldown_in_time.py",
        "tests/journal/test_dedup.py",
        "tests/journal/test_resolve.py",
    ),
    "delivery/attempts": (
        "tests/delivery/test_attempts.py",
        "tests/delivery/test_earlier.py",
        "tests/delivery/test_outcomes.py",
        "tests/delivery/test_way.py",
        "tests/delivery/test_sender.py",
    ),
    "delivery/result": (
        "tests/delivery/test_result.py",
        "tests/delivery/test_detail.py",
        "tests/delivery/test_counted_outcomes.py",
    ),
    "delivery/sender": (
        "tests/delivery/test_way.py",
        "tests/delivery/test_outcomes.py",
        "tests/delivery/test_sender.py",
    ),
    "operations/messages": ("tests/operations/test_messages_in_time.py", "tests/operations/test_messages.py"),
    "operations/probe": ("tests/operations/test_probe.py", "tests/cli/test_check.py"),
    "operations/look_up": ("tests/operations/test_look_up.py", "tests/cli/test_look_up.py"),
    "alerts/journals": (
        "tests/alerts/test_journals.py",
        "tests/alerts/test_abandoned.py",
        "tests/alerts/test_deadline.py",
        "tests/alerts/test_local_journals.py",
        "tests/alerts/test_silent_journal.py",
        "tests/alerts/test_storm.py",
    ),
    "alerts/alert": ("tests/alerts/test_alert.py", "tests/notifications/test_resolved.py"),
    "alerts/deliver": (
        "tests/alerts/test_deliver.py",
        "tests/notifications/test_sms.py",
        "tests/notifications/test_resolved.py",
        "tests/alerts/test_silent_journal.py",
    ),
    "alerts/event": ("tests/alerts/test_event.py", "tests/alerts/test_question.py", "tests/notifications/test_sms.py"),
    "alerts/import_errors": ("tests/alerts/test_import_errors.py", "tests/plugins/test_import_errors.py"),
    "alerts/reported_errors": ("tests/alerts/test_reported_errors.py", "tests/plugins/test_import_errors.py"),
}
# A test that hangs has detected the change.
LONGEST_TEST = 60
LONGEST = 300.0
# Exit codes that Python itself does not use.
YES, NO = 10, 11


def main() -> int:
    """Try a sample of changes, and return 1 if the tests detect a smaller share than required."""
    arguments = _arguments()
    unchanged = Unchanged()
    paths = [path for folder in arguments.folders for path in _files_of(folder)]
    mutants = [mutant for mutant in mutants_of(paths) if not unchanged.has(mutant)]
    random.Random(arguments.seed).shuffle(mutants)  # noqa: S311 - a sample, no secret
    sample = list(islice(mutants, arguments.skip, arguments.skip + arguments.sample))
    with tempfile.TemporaryDirectory(prefix="dialogtech-unchanged-") as original:
        _copy_repository(Path(original))
        if failing := [] if arguments.skip else _failing(sample, original):
            print(f"These tests fail without any change: {', '.join(failing)}")
            return 1
        survivors = _survivors_of(sample, original, arguments.at_once)
    share = 1 - len(survivors) / len(sample) if sample else 1.0
    print(f"\nThe tests detected {share:.1%} of {len(sample)} changes, of {len(mutants)} possible ones. Not detected:")
    for mutant in survivors:
        print(mutant)
    return int(share < arguments.at_least)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", default=FOLDERS, help="folders of the package, or files in them")
    parser.add_argument("--sample", type=int, default=150, help="how many changes to try")
    parser.add_argument("--seed", type=int, default=1, help="which sample")
    parser.add_argument("--skip", type=int, default=0, help="how many changes of the sample to skip")
    parser.add_argument("--at-once", type=int, default=2, help="how many changes to try in parallel")
    parser.add_argument("--at-least", type=float, default=0.9, help="the share of changes that the tests must detect")
    return parser.parse_args()


def _files_of(folder: str) -> list[Path]:
    path = PACKAGE / folder
    return sorted(path.glob("*.py")) if path.is_dir() else [path]


def _copy_repository(target: Path) -> None:
    """Copy the files of the repository, so that work on it can go on meanwhile."""
    files = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in subprocess.check_output(files, text=True).splitlines():
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, copy)


def _failing(sample: Sequence[Mutant], original: str) -> list[str]:
    """Return the tests that fail without any change: they would seem to detect every change."""
    tests = sorted({_tests_of(mutant.change.module_path) for mutant in sample})
    return [" ".join(each) for each in tests if _in_copy(original, f"fail(*{each})")]


def _survivors_of(sample: Sequence[Mutant], original: str, at_once: int) -> list[Mutant]:
    survivors = []
    with ProcessPoolExecutor(at_once) as pool:
        for number, (mutant, is_detected) in enumerate(pool.map(_try, sample, repeat(original)), start=1):
            print(f"{number} of {len(sample)}: {'detected' if is_detected else 'NOT DETECTED'}: {mutant}", flush=True)
            survivors += [] if is_detected else [mutant]
    return survivors


def _try(mutant: Mutant, original: str) -> tuple[Mutant, bool]:
    change = mutant.change
    spec = (str(change.module_path), change.operator_name, str(change.occurrence))
    return mutant, _in_copy(original, f"detected(*{spec}, *{_tests_of(change.module_path)})")


def _in_copy(original: str, question: str) -> bool:
    """Call one of the functions below in a copy of the repository."""
    with tempfile.TemporaryDirectory(prefix="dialogtech-mutant-") as copy:
        shutil.copytree(original, copy, dirs_exist_ok=True)
        program = f"import sys; from tools.mutate import *; sys.exit(YES if {question} else NO)"
        result = subprocess.run([sys.executable, "-c", program], cwd=copy, check=False, capture_output=True, text=True)
    if result.returncode not in {YES, NO}:
        raise RuntimeError(result.stderr)
    return result.returncode == YES


def _tests_of(path: Path) -> tuple[str, ...]:
    module = path.relative_to(PACKAGE).with_suffix("").as_posix()
    folder, _, name = module.partition("/")
    own = Path("tests", folder, f"test_{name}.py")
    return TESTS.get(module) or TESTS.get(folder) or ((str(own),) if own.exists() else (f"tests/{folder}",))


def detected(path: str, operator: str, occurrence: str, *tests: str) -> bool:
    """Make a change in the current folder, and return whether tests detect it."""
    change = MutationSpec(Path(path), operator, int(occurrence), (1, 0), (1, 1))
    return bool(mutate_and_test([change], _command(tests), LONGEST).is_killed)


def fail(*tests: str) -> bool:
    """Return whether tests fail in the current folder."""
    return subprocess.run(shlex.split(_command(tests)), check=False, capture_output=True).returncode != 0


def _command(tests: Sequence[str]) -> str:
    options = f"-q -x -p no:cacheprovider --timeout={LONGEST_TEST} -m 'not system'"
    return f"{sys.executable} -m pytest {options} {' '.join(tests)}"


if __name__ == "__main__":
    sys.exit(main())
