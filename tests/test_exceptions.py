"""The tree of errors: the sentences, the fields, and that no code parses a sentence."""

import ast
import pickle
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest

import airflow_provider_dialogtech
from airflow_provider_dialogtech import exceptions
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    InvalidConnection,
    InvalidMessage,
    JournalUnavailable,
    NotSent,
    Refused,
    Throttled,
    Unreachable,
    WaitTooLong,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
TREE = {
    NotSent: DialogTechError,
    InvalidMessage: NotSent,
    InvalidConnection: NotSent,
    Refused: NotSent,
    BadCredentials: Refused,
    Throttled: NotSent,
    Unreachable: NotSent,
    WaitTooLong: NotSent,
    JournalUnavailable: NotSent,
    InDoubt: DialogTechError,
}
SENTENCES = {
    NotSent: "The message was not sent: no way. Sending it again is safe.",
    InvalidMessage: "The message was not sent: no way. Correct it.",
    InvalidConnection: "The message was not sent: no way. Correct the connection.",
    Refused: "The message was not sent: no way. Correct what it names.",
    BadCredentials: "The message was not sent: no way. Check the access key and the secret access key in the "
    "connection, and correct them.",
    Throttled: "The message was not sent: no way. Send it again later; that is safe.",
    Unreachable: "The message was not sent: no way. Check the network, the proxy and the API URL in the connection. "
    "Sending it again is safe.",
    WaitTooLong: "The message was not sent: no way. Send it again later, or with a longer max_wait.",
    JournalUnavailable: "The message was not sent: no way. Check the journal: `python -m airflow_provider_dialogtech "
    "check`. Sending the message again is safe.",
    InDoubt: "The message may have been sent: no way. Look for this recipient and time in DialogTech's message log. "
    "Then settle the message: `python -m airflow_provider_dialogtech messages list` shows it, `messages resolve` "
    'settles it. Or, to send it again in any case, set in_doubt="resend".',
}
FULL = [
    InvalidMessage("no way", advice="Do this.", before_any=True),
    Refused("no way", advice="Do this.", to="…7777", description="Not allowed"),
    Throttled("no way", retry_after=7.0),
    WaitTooLong("no way", sendable_at=NOW),
    InDoubt("no way", to="…7777", since=NOW, key="abc", earlier=True),
]
TROUBLESHOOTING = sorted((Path(__file__).parents[1] / "docs").glob("troubleshooting*.md"))
PACKAGE = Path(airflow_provider_dialogtech.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
_CUTS = {"removeprefix", "removesuffix", "split", "rsplit", "partition", "rpartition", "replace", "strip", "rstrip"}
_CUTS |= {"lstrip", "splitlines", "startswith", "endswith"}


def classes_in_the_tree():
    return {kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, Exception)}


def test_the_tree_is_that_of_the_module_docstring():
    assert classes_in_the_tree() == {DialogTechError, *TREE}
    assert all(kind.__bases__[0] is parent for kind, parent in TREE.items())
    assert all(issubclass(kind, ValueError) for kind in (InvalidMessage, InvalidConnection))
    drawn = re.findall(r"[A-Z]\w+", exceptions.__doc__.split("\n\n")[1])
    assert {getattr(exceptions, name) for name in drawn if hasattr(exceptions, name)} == classes_in_the_tree()


def test_no_other_file_adds_to_the_tree():
    names = {kind.__name__ for kind in classes_in_the_tree()}
    for source in SOURCES:
        if source.name == "exceptions.py":
            continue
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ClassDef):
                assert not names & {ast.unparse(base) for base in node.bases}, f"{node.name} in {source}"


@pytest.mark.parametrize("kind", sorted(TREE, key=lambda kind: kind.__name__))
def test_an_error_states_what_happened_why_and_what_to_do(kind):
    error = kind()
    assert error.outcome == ("in doubt" if kind is InDoubt else "not sent")
    assert error.reason
    assert not error.reason.endswith(".")
    assert error.reason[0].islower() or error.reason.startswith("DialogTech")
    assert error.advice.endswith(".")
    assert f": {error.reason}. {error.advice}" in str(error)


@pytest.mark.parametrize("kind", sorted(TREE, key=lambda kind: kind.__name__))
def test_an_error_has_the_documented_sentence(kind):
    assert str(kind("no way")) == SENTENCES[kind]
    assert str(kind("no way", advice="Do this.")).endswith(": no way. Do this.")


def test_only_a_task_s_errors_advise_to_clear_the_task():
    # Commands, alerts and the page also show the advice of errors, and have no task to clear.
    sources = {
        str(source.relative_to(PACKAGE))
        for source in SOURCES
        if re.search(r"clear (it|the task)\b", source.read_text())
    }
    assert sources == {"bulk/report.py", "cli/messages.py", "operators/base.py"}


def test_a_sentence_names_its_recipient_if_known():
    assert str(Refused("no way", to="…7777")).startswith("The message to …7777 was not sent: no way. ")
    assert str(InDoubt("no way", to="…7777")).startswith("The message to …7777 may have been sent: no way. ")


def test_an_error_before_any_message_says_that_nothing_was_sent():
    assert str(InvalidMessage("no way", before_any=True)).startswith("Nothing was sent: no way. ")


@pytest.mark.parametrize("error", [*(kind() for kind in TREE), *FULL], ids=repr)
def test_an_error_keeps_its_fields_when_pickled(error):
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


def parses_a_sentence(source):
    """Return the lines where a file cuts or searches the `str()` of an error."""
    tree = ast.parse(source)
    caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}

    def is_of_an_error(node):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "str" and node.args):
            return False
        return ast.unparse(node.args[0]) in caught | {"error", "failure", "problem", "doubt"}

    return [
        node.lineno
        for node in ast.walk(tree)
        if (
            isinstance(node, ast.Call)
            and (
                (isinstance(node.func, ast.Attribute) and node.func.attr in _CUTS and is_of_an_error(node.func.value))
                or (ast.unparse(node.func).rpartition(".")[2] in {"sub", "match", "search", "fullmatch"}
                    and any(map(is_of_an_error, node.args)))
            )
        )
        or (isinstance(node, ast.Subscript) and is_of_an_error(node.value))
        # Only the `str()` of an error begins so.
        or (isinstance(node, ast.Constant) and node.value == "The message was not sent: ")
    ]  # fmt: skip


def test_no_file_parses_an_error_s_sentence():
    assert {source: found for source in SOURCES if (found := parses_a_sentence(source.read_text()))} == {}


@pytest.mark.parametrize(
    "code",
    [
        'str(error).removeprefix("The message")',
        'str(error).replace("a", "b")',
        "str(error)[4:]",
        're.sub("a", "b", str(error))',
        '_CONNECTION.sub("This connection", str(error), count=1)',
        'reason.removeprefix("The message was not sent: ")',
        "try: ...\nexcept ValueError as caught: x = str(caught).rstrip()",
    ],
)
def test_code_that_parses_a_sentence_is_found(code):
    assert parses_a_sentence(code)


def written_sentences():
    """Return the package's strings, with `…` for their placeholders."""
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                yield "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%[sd]", "…", node.value)


def test_the_troubleshooting_page_quotes_sentences_of_the_package():
    said = "\n".join(written_sentences())
    quoted = [
        words
        for page in TROUBLESHOOTING
        for line in page.read_text(encoding="utf-8").splitlines()
        for words in re.findall(r'"([^"]+)"', line[:120])
    ]
    assert len(quoted) > 10
    for words in quoted:
        pattern = ".*".join(map(re.escape, words.split("…")))
        assert re.search(pattern, said, re.IGNORECASE), f"no string of the package contains {words!r}"
