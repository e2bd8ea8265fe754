"""`python -m tools.mutate`: break the code at random, one small change at a time, and name what no test notices.

Cosmic Ray makes the changes: another comparison, another number, an `or` for an `and`, a `not` more. Each is tried in a
copy of the repository, with the tests of the changed module. `tools/mutants.json` lists the changes that no test can
notice, each with the reason why it changes nothing; they are not tried.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_and_test, mutate_code
from cosmic_ray.work_item import MutationSpec

PACKAGE = Path("airflow_provider_dialogtech")
FOLDERS = ("delivery", "sms", "api", "alerts")
# Others change what only type checkers read (a `|` of two types), or nothing at all.
OPERATORS = (
    *(
        f"ReplaceComparisonOperator_{change}"
        for change in (
            *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
            *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
        )
    ),
    "NumberReplacer",
    "AddNot",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
)
# Modules that have no test file of their own name, and those whose promise is tested elsewhere, too.
TESTS = {
    "delivery/tries": ("tests/delivery/test_sender.py",),
    "delivery/earlier": ("tests/delivery/test_sender.py",),
    "delivery/outcomes": ("tests/delivery/test_sender.py",),
    "delivery/records": ("tests/delivery/test_reservation.py",),
    "delivery/postgres": ("tests/delivery/test_store.py", "tests/delivery/test_journal.py"),
    "delivery/sqlite": ("tests/delivery/test_store.py", "tests/delivery/test_journal.py"),
    "delivery/schema": ("tests/delivery/test_store.py", "tests/delivery/test_upgrades.py"),
    "alerts/attempt": ("tests/alerts/test_silent_journal.py", "tests/alerts/test_deliver.py"),
    "alerts/deliver": ("tests/alerts/test_deliver.py", "tests/notifications"),
}
LONGEST = 300.0
# No exit codes of Python itself.
NOTICED, NOT_NOTICED = 10, 11
UNCHANGED = Path("tools/mutants.json")


@dataclass(frozen=True)
class Mutant:
    """One small change.

    :param change: what Cosmic Ray is to do.
    :param before: the changed line, as it is.
    :param after: as it becomes.
    """

    change: MutationSpec
    before: str
    after: str

    @property
    def module(self) -> str:
        """The changed file."""
        return Path(self.change.module_path).as_posix()

    def __str__(self) -> str:
        return f"{self.module}:{self.change.start_pos[0]}\n    - {self.before}\n    + {self.after}"


def main() -> int:
    """Try a sample of changes; return 1 when fewer were noticed than asked for."""
    arguments = _arguments()
    known = _unchanged()
    paths = [path for folder in arguments.folders for path in sorted((PACKAGE / folder).glob("*.py"))]
    changes = [change for path in paths for change in _changes_of(path)]
    random.Random(arguments.seed).shuffle(changes)  # noqa: S311 - a sample, no secret
    wanted = (
        mutant
        for mutant in map(_mutant_of, changes)
        if _name(mutant) not in known and "TYPE_CHECKING" not in mutant.before
    )
    sample = list(islice(wanted, arguments.sample))
    survivors = []
    with ProcessPoolExecutor(arguments.at_once) as pool:
        for number, (mutant, noticed) in enumerate(pool.map(_try, sample), start=1):
            print(f"{number} of {len(sample)}: {'noticed' if noticed else 'NOT NOTICED'}: {mutant}", flush=True)
            survivors += [] if noticed else [mutant]
    share = 1 - len(survivors) / len(sample) if sample else 1.0
    print(f"\nThe tests noticed {share:.1%} of {len(sample)} changes, of {len(changes)} possible ones. Not noticed:")
    for mutant in survivors:
        print(mutant)
    return int(share < arguments.at_least)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", default=FOLDERS, help="folders of the package, or files in them")
    parser.add_argument("--sample", type=int, default=150, help="how many changes to try")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--at-once", type=int, default=2, help="how many at the same time")
    parser.add_argument("--at-least", type=float, default=0.9, help="the share that the tests must notice")
    return parser.parse_args()


def _unchanged() -> set[tuple[str, str, str]]:
    return {(each["module"], each["before"], each["after"]) for each in json.loads(UNCHANGED.read_text())}


def _name(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.module, mutant.before, mutant.after


def _changes_of(path: Path) -> Iterator[MutationSpec]:
    nodes = list(ast_nodes(get_ast_from_path(path)))
    for name in cosmic_ray.plugins.operator_names():
        if name.rpartition("/")[2] in OPERATORS:
            operator = cosmic_ray.plugins.get_operator(name)()
            places = (place for node in nodes for place in operator.mutation_positions(node))
            for occurrence, (start, end) in enumerate(places):
                yield MutationSpec(path, name, occurrence, start, end)


def _mutant_of(change: MutationSpec) -> Mutant:
    source = change.module_path.read_text()
    operator = cosmic_ray.plugins.get_operator(change.operator_name)()
    mutated = mutate_code(source.encode(), operator, change.occurrence) or source
    lines = zip(source.splitlines(), mutated.splitlines(), strict=False)
    before, after = next((pair for pair in lines if pair[0] != pair[1]), ("", ""))
    return Mutant(change, before.strip(), after.strip())


def _try(mutant: Mutant) -> tuple[Mutant, bool]:
    """Try a change in a copy of the repository; say whether a test noticed it."""
    with tempfile.TemporaryDirectory(prefix="dialogtech-mutant-") as copy:
        for name in subprocess.check_output(["git", "ls-files"], text=True).splitlines():  # noqa: S607
            target = Path(copy, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, target)
        result = subprocess.run(
            [sys.executable, "-c", _IN_COPY, *_spec(mutant.change), *_tests_of(mutant.change.module_path)],
            cwd=copy,
            check=False,
            capture_output=True,
            text=True,
        )
    if result.returncode not in {NOTICED, NOT_NOTICED}:
        raise RuntimeError(result.stderr)
    return mutant, result.returncode == NOTICED


def _spec(change: MutationSpec) -> list[str]:
    return [str(change.module_path), change.operator_name, str(change.occurrence)]


def _tests_of(path: Path) -> tuple[str, ...]:
    module = path.relative_to(PACKAGE).with_suffix("").as_posix()
    folder, _, name = module.partition("/")
    own = Path("tests", folder, f"test_{name}.py")
    return TESTS.get(module) or ((str(own),) if own.exists() else (f"tests/{folder}",))


def try_here(path: str, operator: str, occurrence: str, *tests: str) -> int:
    """Make a change in the present folder and run tests; return whether one of them noticed it, as an exit code."""
    change = MutationSpec(Path(path), operator, int(occurrence), (1, 0), (1, 1))
    command = f"{sys.executable} -m pytest -q -x -p no:cacheprovider -m 'not system' {' '.join(tests)}"
    return NOTICED if mutate_and_test([change], command, LONGEST).is_killed else NOT_NOTICED


_IN_COPY = "import sys; from tools.mutate import try_here; sys.exit(try_here(*sys.argv[1:]))"

if __name__ == "__main__":
    sys.exit(main())
