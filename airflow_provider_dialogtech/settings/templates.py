"""Renders the templates of a task. What a template evaluates to stays as it is: a text is never read as Python.

With `render_template_as_native_obj=True`, Airflow reads each rendered text as a Python literal: +6581234567 loses its
plus, 10.50 its last digit, and 12,50 becomes a tuple.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Environment, Template, TemplateNotFound, Undefined, UndefinedError
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.nodes import Expr, Impossible
from jinja2.sandbox import SandboxedEnvironment

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import mask_numbers, type_name
from airflow_provider_dialogtech.sms.missing import is_missing

LONGEST_SHOWN = 150
# Linear in time, because none reaches past the beginning of another.
_EXPRESSIONS = re.compile(r"\{\{(?:(?!\{\{).)*?\}\}|\{%(?:(?!\{%).)*?%\}", re.DOTALL)
# A list of rows whose values are lists again; a deeper one may contain itself.
_DEEPEST = 5
_ROWS = frozenset({dict, list, tuple})
_UNRENDERED = frozenset({int, float, bool, type(None)})
_IN_BRACES = re.compile(r"\{([^{}]*)\}")
UNDEFINED = re.compile(r"'(\w+)' is undefined")
"""What Jinja says of a name that it does not know."""
_WORD = re.compile(r"\s*(\w+)")
# Only a run with a logical date has these.
WITH_A_DATE = frozenset({
    "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "logical_date", "data_interval_start",
    "data_interval_end",
})  # fmt: skip


class BadPiece(UndefinedError):
    """A piece of a template is missing, or is not text, and would end up in a message.

    :param reason: what it is.
    :param advice: how to correct the template.
    """

    def __init__(self, reason: str, *, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


class _Pieces(NativeCodeGenerator):
    """Compiles a template so that each of its expressions yields its value instead of a text."""

    def _output_child_to_const(self, node: Expr, frame: Any, finalize: Any) -> Any:
        const = super()._output_child_to_const(node, frame, finalize)
        if const is None:  # else `{{ none }}` would become the word None
            raise Impossible
        return const


def environment_of(task: Any, **options: Any) -> Environment:
    """Return the environment of a task's DAG, sandboxed, whose templates yield values.

    :param task: the task, whose DAG has the template's folders, filters and macros.
    :param options: Jinja's options that differ from the DAG's.
    """
    dag = task.get_dag()
    of_dag = dag.get_template_env(force_sandboxed=True) if dag is not None else SandboxedEnvironment()
    # Bytecode that another environment has cached yields strings.
    environment: Environment = of_dag.overlay(bytecode_cache=None, **options)
    environment.code_generator_class = _Pieces
    environment.concat = _joined  # type: ignore[method-assign]  # joins the pieces of a macro
    return environment


def is_mistaken_for_reference(value: object) -> bool:
    """Return whether Airflow would take a value for a reference to a task's result, and call its method `resolve`.

    A path has such a method, and so has a DNS resolver. Airflow's own references are of its own classes.
    """
    kinds = type(value).__mro__
    return hasattr(value, "resolve") and not any(kind.__module__.startswith("airflow.") for kind in kinds)


def is_plain(value: object, environment: Environment) -> bool:
    """Return whether a value renders to itself: no text in it has any of Jinja's signs.

    Compiling a text and copying a row takes a fifth of a millisecond, which is too slow for a long list.

    :param value: a text, a number, or rows of them. Other values are never plain.
    :param environment: the environment that would render it.
    """
    if environment.line_statement_prefix or environment.line_comment_prefix:
        return False
    starts = (environment.variable_start_string, environment.block_start_string, environment.comment_start_string)
    return _has_none_of((*starts, "\n", "\r"), value, _DEEPEST)  # Jinja changes the ends of lines


def _has_none_of(signs: Sequence[str], value: Any, depth: int) -> bool:
    kind = type(value)
    if kind is str:
        return not any(sign in value for sign in signs)
    if kind in _ROWS and depth:
        values = value.values() if kind is dict else value
        return all(_has_none_of(signs, each, depth - 1) for each in values)
    return kind in _UNRENDERED


@lru_cache(maxsize=100)
def compiled(environment: Environment, text: str) -> Template:
    """Compile a text. The rows of a list often have the same ones."""
    return environment.from_string(text)


def yields_values(environment: object) -> bool:
    """Return whether an environment is one of `environment_of`."""
    return isinstance(environment, Environment) and environment.code_generator_class is _Pieces


def is_file(message: str, extensions: Sequence[str]) -> bool:
    """Return whether a message names a file: it ends like one, and it has no blank outside of Jinja's braces.

    :param extensions: the endings of a template's file.
    """
    if not message.endswith(tuple(extensions)):
        return False
    return not any(map(str.isspace, _EXPRESSIONS.sub("", message)))


def expression_in(message: str) -> str | None:
    """Return the first of Jinja's expressions in a message; None where it has none.

    :param message: the message.
    """
    found = _EXPRESSIONS.search(message)
    return found and found[0]


def in_single_braces(message: str, known: Callable[[str], bool]) -> str | None:
    """Say what a message has in single braces that should be double; None if it is right.

    Jinja leaves them as they are. An f-string makes {name} of {{name}}, and `str.format` would replace it.

    :param known: returns whether a name is one of the template's variables.
    """
    for each in _IN_BRACES.findall(_EXPRESSIONS.sub("", message)):
        word = _WORD.match(each)
        if word and (word[1] == "recipient" or word[1] in WITH_A_DATE or known(word[1]) or known(each)):
            return f"has {{{each}}} in single braces, which are sent as they are: double them (in an f-string, twice)"
    return None


def template_of(environment: Environment, message: str, extensions: Sequence[str]) -> Template:
    """Compile a message, or the file that it names.

    :param extensions: the endings of a template's file.
    :raises InvalidMessage: when the file does not exist, or is not in UTF-8.
    """
    if not is_file(message, extensions):
        return environment.from_string(message)
    advice = ""
    try:
        return environment.get_template(message)
    except TemplateNotFound as error:
        if error.name != message:
            raise
        problem = "is neither beside the DAG nor in its template_searchpath"
        advice = "Correct the path. If this is the body itself, write {{ '…' }} around it."
    except UnicodeDecodeError:
        problem, advice = "is not in UTF-8", "Save it as UTF-8."
    name = mask_numbers(message)[:LONGEST_SHOWN]
    raise InvalidMessage(
        f"`message` is not a valid template: the file {name} {problem}", advice=advice, before_any=True
    )


def pieces_of(template: Template, variables: Mapping[str, Any]) -> Iterable[Any]:
    """Yield what a template consists of: its literal text, and the values of its expressions.

    :param template: a template of `environment_of`.
    :param variables: Airflow's context, and others.
    """
    environment = template.environment
    # Without a copy of the context, as in Airflow: its deprecated variables warn when they are read.
    known: Any = ChainMap(variables, template.globals)  # type: ignore[arg-type]
    return template.root_render_func(environment.context_class(environment, known, template.name, template.blocks))


def value_of(template: Template, variables: Mapping[str, Any], text: Callable[[Any], str] | None = None) -> Any:
    """Return the value of a template that is one expression, and the text of any other.

    :param template: a template of `environment_of`.
    :param variables: Airflow's context.
    :param text: makes text of a piece; by default `text_of`.
    :raises BadPiece: when a part of its text is missing, or is none.
    """
    pieces = list(pieces_of(template, variables))
    if len(pieces) == 1 and not isinstance(pieces[0], Undefined):
        return pieces[0]
    return "".join(map(text or text_of, pieces))


def text_of(piece: Any) -> str:
    """Return a piece of a template as text.

    :param piece: a text, or the value of an expression.
    :raises BadPiece: when it is missing, or has no text but Python's notation: bytes, a function, an object.
    """
    if isinstance(piece, str | Undefined):
        return str(piece)
    if is_missing(piece):
        raise BadPiece(f"an expression is {piece}", advice="If it may be, add `| default('…', true)` to it.")
    if callable(piece):
        raise BadPiece("an expression is a function", advice="Call it, with ().")
    if isinstance(piece, bytes | bytearray):
        raise BadPiece("an expression is bytes", advice="Decode it, with .decode().")
    text = str(piece)
    if text.startswith("<") and " at 0x" in text:
        reason = f"an expression is an object ({type_name(piece)})"
        raise BadPiece(reason, advice="Name one of its attributes, or write `| join(', ')`.")
    return text


def plain_text_of(piece: Any) -> str:
    """Return a piece of a message as text. A list or a mapping would be sent as Python writes it.

    :param piece: a text, or the value of an expression.
    :raises BadPiece: as `text_of` does, and when it is a collection.
    """
    text = text_of(piece)
    if isinstance(piece, Collection) and not isinstance(piece, str):
        advice = "Write one of its values, or {{ … | join(', ') }}."
        raise BadPiece(f"an expression is a {type_name(piece)}", advice=advice)
    return text


def _joined(pieces: Iterable[Any]) -> str:
    return "".join(map(text_of, pieces))
