"""Finds the small changes (mutants) of the code that change its behaviour."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.work_item import MutationSpec

PACKAGE = Path("airflow_provider_dialogtech")
UNCHANGED = Path("tools/mutants.json")
# Other operators change only types (a `|` of two types), or nothing.
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
# Arguments that only guard against errors in the code itself.
_GUARDS = {"strict", "frozen"}


@dataclass(frozen=True)
class Mutant:
    """A small change.

    :param change: the change, for Cosmic Ray.
    :param before: the line before the change.
    :param after: the line after the change.
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


class Unchanged:
    """The changes in `tools/mutants.json`, which no test can detect.

    :raises ValueError: when it lists a line that no longer exists.
    """

    def __init__(self) -> None:
        listed = json.loads(UNCHANGED.read_text())
        gone = [each for each in listed if each["before"] not in _lines_of(each["module"])]
        if gone:
            raise ValueError(f"{UNCHANGED} lists lines that are gone: {json.dumps(gone, indent=2)}")
        self._listed = {(each["module"], each["before"], each.get("after")) for each in listed}

    def has(self, mutant: Mutant) -> bool:
        """Return whether a change is listed, by itself or with all changes of its line."""
        return not self._listed.isdisjoint({(mutant.module, mutant.before, after) for after in (mutant.after, None)})


def mutants_of(paths: Sequence[Path]) -> Iterator[Mutant]:
    """Find all changes of these files that change their behaviour.

    :param paths: the files.
    """
    for path in paths:
        source = path.read_text()
        lines, meaning = source.splitlines(), _meaning(source)
        for change in _changes_of(path):
            operator = cosmic_ray.plugins.get_operator(change.operator_name)()
            mutated = mutate_code(source.encode(), operator, change.occurrence) or source
            if _meaning(mutated) in {None, meaning}:
                continue
            pairs = zip(lines, mutated.splitlines(), strict=False)
            before, after = next(pair for pair in pairs if pair[0] != pair[1])
            if "TYPE_CHECKING" not in before:
                yield Mutant(change, before.strip(), after.strip())


def _lines_of(module: str) -> set[str]:
    path = Path(module)
    return {line.strip() for line in path.read_text().splitlines()} if path.exists() else set()


def _changes_of(path: Path) -> Iterator[MutationSpec]:
    nodes = list(ast_nodes(get_ast_from_path(path)))
    for name in cosmic_ray.plugins.operator_names():
        if name.rpartition("/")[2] in OPERATORS:
            operator = cosmic_ray.plugins.get_operator(name)()
            places = (place for node in nodes for place in operator.mutation_positions(node))
            for occurrence, (start, end) in enumerate(places):
                yield MutationSpec(path, name, occurrence, start, end)


def _meaning(source: str) -> str | None:
    """Return a source's syntax tree without annotations, guards and argument kinds; None for invalid Python."""
    try:
        return ast.dump(_Meaning().visit(ast.parse(source)))
    except SyntaxError:
        return None


class _Meaning(ast.NodeTransformer):
    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        self.generic_visit(node)
        node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        node.defaults = [*node.defaults, *(default for default in node.kw_defaults if default is not None)]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        if isinstance(node.body[-1], ast.Expr) and ast.unparse(node.body[-1]) == "...":  # only a protocol
            node.args = ast.arguments([], [], None, [], [], None, [])
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        node.annotation = ast.Constant(None)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in _GUARDS]
        return node
