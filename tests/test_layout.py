"""The house explains itself: files of one idea, functions of one level, public names with docstrings."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "airflow_provider_dialogtech"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 500
LONGEST_FUNCTION = 40
# What a user imports; these paths stay.
PUBLIC = {
    "hooks.dialogtech": {"DialogTechHook"},
    "operators.sms": {"DialogTechSendBulkSmsOperator", "DialogTechSendSmsOperator"},
    "operators.bulk": {"DialogTechSendBulkSmsOperator"},
    "notifications.sms": {"DialogTechSmsNotifier", "send_dialogtech_sms_notification"},
    "exceptions": {
        "BadCredentials", "DialogTechError", "InDoubt", "InvalidConnection", "InvalidMessage", "JournalUnavailable",
        "NotSent", "Refused", "Throttled", "Unreachable", "WaitTooLong",
    },
    "sandbox.process": {"RunningSandbox", "running_sandbox"},
}  # fmt: skip
# What is tested there belongs to no one folder of the package, or helps to test.
FOLDERS_OF_TESTS = {"celery", "coverage", "hostile", "proxies", "system", "tools", "wheel"}
FOLDERS_OF_AIRFLOW = ("hooks", "operators", "notifications", "plugins", "decorators")


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_a_file_is_read_in_one_sitting():
    assert [name_of(path) for path in FILES if len(path.read_text().splitlines()) > LONGEST_FILE] == []


def test_a_function_has_one_level():
    long = [
        f"{name_of(path)}: {node.name} has {lines} lines"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := _lines_of_code(node)) > LONGEST_FUNCTION
    ]
    assert long == []


def _lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count from the first statement that is no docstring: a signature and its documentation are read apart."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_an_init_file_defines_nothing():
    for path in (path for path in FILES if path.name == "__init__.py"):
        tree = ast.parse(path.read_text())
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)], name_of(path)


def test_a_file_and_its_public_names_say_what_they_are_for():
    for path in (path for path in FILES if path.stat().st_size):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{node.name} in {name_of(path)} has no docstring"


@pytest.mark.parametrize("module", PUBLIC)
def test_what_users_import_is_named_and_stays(module):
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    named = next(
        (
            ast.literal_eval(node.value)
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
        ),
        [],
    )
    assert set(named) == PUBLIC[module]


def test_every_folder_of_the_package_is_in_the_architecture():
    page = (ROOT / "docs" / "architecture.md").read_text()
    for folder in (path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"):
        assert f"`{folder}/`" in page, folder


def test_tests_mirror_the_package():
    of_the_package, of_the_tests = (
        {path.name for path in root.iterdir() if any(path.glob("*.py"))} for root in (PACKAGE, ROOT / "tests")
    )
    assert of_the_tests == of_the_package | FOLDERS_OF_TESTS
