"""Lists as people export them: who gets which words, or the first line with which all of them are refused."""

import csv
import io
from collections import UserDict, deque, namedtuple
from datetime import datetime, timezone
from decimal import Decimal
from numbers import Real
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech._compat import AirflowFailException
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator
from airflow_provider_dialogtech.sms.missing import missing_word

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG

HI = "Hi {{ recipient.name }}"
ORDER = "Hi {{ recipient.name }}, your order {{ recipient.id }} comes {{ recipient.window }}."
ADA, GRACE = "5556667777", "5556668888"
NAN = float("nan")
CONTEXT = {"ti": SimpleNamespace(dag_id="dag", run_id="run", task_id="send", map_index=-1, xcom_push=lambda **_: None)}


class NaTType:
    """NaT of pandas: unequal to itself."""

    def __eq__(self, other):
        return False

    def __ne__(self, other):
        return True

    __hash__ = object.__hash__

    def __str__(self):
        return "NaT"


class NAType:
    """NA of pandas: it compares as itself, and is neither true nor false."""

    def __eq__(self, other):
        return self

    __ne__ = __eq__
    __hash__ = object.__hash__

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    def __str__(self):
        return "<NA>"


class PandasFrame:
    """A data frame of pandas: it iterates over the names of its columns."""

    columns = shape = property(lambda self: ("to", "name"))

    def __init__(self, *rows):
        self._rows = rows

    def __iter__(self):
        return iter(self.columns)

    def __bool__(self):
        raise ValueError("The truth value of a DataFrame is ambiguous")

    def to_dict(self, orient="dict"):
        assert orient == "records"
        return [dict(zip(self.columns, row, strict=True)) for row in self._rows]


class PolarsFrame(PandasFrame):
    """Polars has another method, and Arrow a third one."""

    to_dict = None

    def to_dicts(self):
        return PandasFrame.to_dict(self, "records")


class ArrowTable(PandasFrame):
    to_dict = None

    def to_pylist(self):
        return PandasFrame.to_dict(self, "records")


class ArrowRow(UserDict):
    """A row of Arrow: it looks for an index where a mapping looks for a key."""

    def __getitem__(self, name):
        if not isinstance(name, str | int):
            raise TypeError("Expected integer or string index")
        return f"a scalar of {name}"

    def as_py(self):
        return dict(self.data)


class GroupedFrame(PandasFrame):
    index = SimpleNamespace(name="to")
    columns = property(lambda self: ("name",))

    def reset_index(self):
        return PandasFrame(*self._rows)


class RoundedFrame(PandasFrame):
    dtypes = property(lambda self: ("float32", "object"))


class TwiceNamedTable(ArrowTable):
    schema = SimpleNamespace(names=["to", "to"], types=["string", "string"])


class Float:
    """A float of numpy, which is none of Python's."""

    def __init__(self, value):
        self._value = value

    def __abs__(self):
        return abs(self._value)

    def __int__(self):
        return int(self._value)

    def __eq__(self, other):
        return other == self._value

    __hash__ = object.__hash__

    def __str__(self):
        return str(float(self._value))


Real.register(Float)


class TwiceNamedFrame(PandasFrame):
    columns = property(lambda self: ("to", "to"))


class DatabaseRow:
    """A row as BigQuery and sqlite3 return it: with keys, and no mapping."""

    def __init__(self, **values):
        self._values = values

    def keys(self):
        return self._values.keys()

    def __getitem__(self, name):
        return self._values[name]


Customer = namedtuple("Customer", ["to", "name"])


def read(text, encoding="utf-8-sig", read_as="utf-8-sig", **options):
    """Read a file as the documentation does."""
    data = text.encode(encoding)
    return list(csv.DictReader(io.StringIO(data.decode(read_as), newline=""), **options))


def both(name_of_ada="Ada", name_of_grace="Grace"):
    return {ADA: f"Hi {name_of_ada}", GRACE: f"Hi {name_of_grace}"}


SENT = {
    "a CSV file": (read("to,name\n(555) 666-7777,Ada\n555-666-8888,Grace\n"), both()),
    "Excel's CSV UTF-8": (read("\ufeffto,name\r\n5556667777,Ada\r\n", read_as="utf-8"), {ADA: "Hi Ada"}),
    "a byte order mark before quotes": (read('\ufeff"to","name"\n5556667777,Ada\n', read_as="utf-8"), {ADA: "Hi Ada"}),
    "capital letters": (read("TO,NAME\n5556667777,Ada\n"), {ADA: "Hi Ada"}),
    "blanks around names": (read(" To , Name \n5556667777,Ada\n"), {ADA: "Hi Ada"}),
    "a non-breaking space in a header": (read("to\xa0,\u200bname\n5556667777,Ada\n"), {ADA: "Hi Ada"}),
    "Snowflake's capital columns": ([{"TO": 5556667777, "NAME": "Ada"}], {ADA: "Hi Ada"}),
    "trailing commas": (read("to,name,,\n5556667777,Ada,,\n5556668888,Grace,,,\n"), both()),
    "blank rows at the end": (read("to,name\n5556667777,Ada\n,\n , \n,,,\n"), {ADA: "Hi Ada"}),
    "blank lines at the end of a column": (["5556667777", "5556668888", "", ""], {ADA: "Hi you", GRACE: "Hi you"}),
    "a semicolon file read as one": (read("to;name\n5556667777;Ada\n", delimiter=";"), {ADA: "Hi Ada"}),
    "a tab-separated file read as one": (read("to\tname\n5556667777\tAda\n", delimiter="\t"), {ADA: "Hi Ada"}),
    "UTF-16 read as it": (read("to,name\n5556667777,Zoë\n", "utf-16", "utf-16"), {ADA: "Hi Zoë"}),
    "cp1252 read as it": (read("to,name\n5556667777,Zoë\n", "cp1252", "cp1252"), {ADA: "Hi Zoë"}),
    "a French apostrophe before é": ([{"to": ADA, "name": "l’école"}], {ADA: "Hi l’école"}),
    "a non-breaking space behind ß": ([{"to": ADA, "name": "Gruß\xa0Ada"}], {ADA: "Hi Gruß\xa0Ada"}),
    "an ellipsis behind a capital": ([{"to": ADA, "name": "PIÙ…"}], {ADA: "Hi PIÙ…"}),
    "a dash before É": ([{"to": ADA, "name": "Paris–Évry"}], {ADA: "Hi Paris–Évry"}),
    "quotes and a comma in a name": (read('to,name\n5556667777,"King, Ada"\n'), {ADA: "Hi King, Ada"}),
    "a number with an apostrophe": (read("to,name\n'5556667777,Ada\n"), {ADA: "Hi Ada"}),
    "a number as a formula": (read('to,name\n"=""5556667777""",Ada\n'), {ADA: "Hi Ada"}),
    "a number as a float": (read("to,name\n5556667777.0,Ada\n"), {ADA: "Hi Ada"}),
    "a link": (read("to,name\ntel:+1-555-666-7777,Ada\n"), {ADA: "Hi Ada"}),
    "full-width digits": (read("to,name\n５５５６６６７７７７,Ada\n"), {ADA: "Hi Ada"}),
    "en dashes and non-breaking spaces": (read("to,name\n555\xa0666–7777,Ada\n"), {ADA: "Hi Ada"}),
    "a zero-width space": (read("to,name\n\u200b5556667777\u200b,Ada\n"), {ADA: "Hi Ada"}),
    "pandas' float column": ([{"to": 5556667777.0, "name": "Ada"}, {"to": 15556668888.0, "name": "Grace"}], both()),
    "Decimals of a database": ([{"to": Decimal("5556667777"), "name": "Ada"}], {ADA: "Hi Ada"}),
    "a data frame of pandas": (PandasFrame((ADA, "Ada"), (GRACE, "Grace")), both()),
    "a data frame of polars": (PolarsFrame((ADA, "Ada"), (GRACE, "Grace")), both()),
    "named tuples": ([Customer(ADA, "Ada"), Customer(GRACE, "Grace")], both()),
    "rows with keys": ([DatabaseRow(to=ADA, name="Ada")], {ADA: "Hi Ada"}),
    "another mapping": ([UserDict(to=ADA, name="Ada")], {ADA: "Hi Ada"}),
    "JSON with a byte order mark": ('\ufeff[{"to": "5556667777", "name": "Ada"}]', {ADA: "Hi Ada"}),
    "JSON": ('[{"to": "5556667777", "name": "Ada"}]', {ADA: "Hi Ada"}),
    "a JSON list with a blank line": (' [{"to": 5556667777, "name": "Ada"}]\n', {ADA: "Hi Ada"}),
    "a set": ({ADA}, {ADA: "Hi you"}),
    "the values of a mapping": ({"Ada": ADA}.values(), {ADA: "Hi you"}),
    "an empty list": ([], {}),
    "a file with a header only": (read("to,name\n"), {}),
    "two columns with one name, one blank": ([{"To": ADA, "TO": "", "name": "Ada"}], {ADA: "Hi Ada"}),
    "the same column as Salesforce and Excel write it": ([{"To": ADA, "First Name": "Ada"}], {ADA: "Hi Ada"}),
    "whole numbers beside a missing one": ([{"to": ADA, "name": 1002.0}], {ADA: "Hi 1002"}),
    "fractions": ([{"to": ADA, "name": 10.5}, {"to": GRACE, "name": Decimal("10.50")}], both("10.5", "10.50")),
    "text that looks like a number": (
        [{"to": ADA, "name": "10.50"}, {"to": GRACE, "name": "007"}],
        both("10.50", "007"),
    ),
    "a person called Null": (read("to,name\n5556667777,Null\n"), {ADA: "Hi Null"}),
    "a person called Nan": ([{"to": ADA, "name": "Nan"}, {"to": GRACE, "name": "NA"}], both("Nan", "NA")),
    "a code like an error": ([{"to": ADA, "name": "#WIN!"}, {"to": GRACE, "name": "#5!"}], both("#WIN!", "#5!")),
    "Err as a name": ([{"to": ADA, "name": "Err"}, {"to": GRACE, "name": "#1"}], both("Err", "#1")),
    "Portuguese capitals": (
        [{"to": ADA, "name": "“IRMÃ” JOÃO"}, {"to": GRACE, "name": "«Â»"}],
        both("“IRMÃ” JOÃO", "«Â»"),
    ),
    "an order with zeros": ([{"to": ADA, "name": "0012"}, {"to": GRACE, "name": "5.0"}], both("0012", "5.0")),
    "an accent written in two ways": ([{"to": ADA, "pre\u0301nom": "Zoé"}], {ADA: "Hi Zoé"}),
    "a full-width header": ([{"ｔｏ": ADA, "name": "Ada"}], {ADA: "Hi Ada"}),
    "a right-to-left name": ([{"to": "\u202a+1 555-666-7777\u202c", "name": "\u200fמשה"}], {ADA: "Hi \u200fמשה"}),
    "columns named like methods": ([{"to": ADA, "name": "Ada", "items": 1, "get": 2, "copy": 3}], {ADA: "Hi Ada 123"}),
    "both spellings of a name": ([{"to": ADA, "Name": "ADA", "name": "Ada"}], {ADA: "Hi Ada"}),
    "the orders 1002 and 1002.0": (
        [{"to": ADA, "name": "Ada", "id": 1002.0}, {"to": ADA, "name": "Ada", "id": 1002}],
        {ADA: "Hi Ada"},
    ),
    "a zero": ([{"to": ADA, "name": 0}], {ADA: "Hi 0"}),
    "a column padded by its database": (read("|to        |name|\n|5556667777|Ada |\n", delimiter="|"), {ADA: "Hi Ada"}),
    "text that a formula keeps": (read('to,name\n5556667777,"=""007"""\n'), {ADA: "Hi 007"}),
    "a recipient of Arrow": ([ArrowRow(to=ADA, name="Ada")], {ADA: "Hi Ada"}),
    "a table of Arrow": (ArrowTable((ADA, "Ada"), (GRACE, "Grace")), both()),
    "a data frame grouped by its numbers": (GroupedFrame((ADA, "Ada")), {ADA: "Hi Ada"}),
    "a float of numpy": ([{"to": ADA, "name": Float(1002)}, {"to": GRACE, "name": Float(0.5)}], both("1002", "0.5")),
    "signs in a text": ([{"to": ADA, "name": "Ada?"}, {"to": GRACE, "name": "#1/2"}], both("Ada?", "#1/2")),
    "false": ([{"to": ADA, "name": False}], {ADA: "Hi False"}),
}
NAMES = {
    "blank lines at the end of a column": "Hi {{ recipient.name | default('you') }}",
    "a set": "Hi {{ recipient.name | default('you') }}",
    "the values of a mapping": "Hi {{ recipient.name | default('you') }}",
    "the same column as Salesforce and Excel write it": "Hi {{ recipient.first_name }}",
    "an accent written in two ways": "Hi {{ recipient.prénom }}",
    "columns named like methods": "Hi {{ recipient.name }} {{ recipient.items ~ recipient.get ~ recipient.copy }}",
}

MISSING = {
    "a short row of a file": read("to,name\n5556667777,Ada\n5556668888\n")[1]["name"],
    "an empty cell": "",
    "blanks": "  \t",
    "a non-breaking space": "\xa0",
    "a zero-width space": "\u200b",
    "None": None,
    "NaN": NAN,
    "Decimal's NaN": Decimal("NaN"),
    "NaT": NaTType(),
    "NA": NAType(),
    "the text of NaN": "nan",
    "the text of None": "None",
    "the text of NA": "<NA>",
    "the text of NaT": "NaT",
    "SQL's NULL": "NULL",
    "MySQL's null in a file": "\\N",
    "not available": "N/A",
    "Excel's not available": "#N/A",
    "a broken reference": "#REF!",
    "a division by zero": "#DIV/0!",
    "an unknown formula": " #NAME? ",
    "a German error": "#WERT!",
    "a German value that is not available": "#NV",
    "a French error": "#VALEUR!",
    "a Spanish error": "#¡REF!",
    "LibreOffice's error": "Err:502",
    "Google's error": "#ERROR!",
    "a column that was too narrow": "########",
    "a dash": " - ",
    "a long dash": "—",
    "SAS's missing value": ".",
    "R's missing value in brackets": "<NA>",
    "DBeaver's null": "[NULL]",
    "MySQL's date of nothing": "0000-00-00",
    "an object of JavaScript": "[object Object]",
    "a blank of HTML": "&nbsp;",
    "an empty formula": '=""',
    "Google's import that was not ready": "Loading...",
    "a Spanish value that is not available": "#N/D",
    "a Polish division by zero": "#DZIEL/0!",
    "a Russian error": "#ССЫЛКА!",
}

NO_TO = "Nothing was sent: the recipients have no column `to`; their columns are "
ONE_BAD = "Nothing was sent: 1 of 1 row cannot be sent: row 1 (to …7777): "
NUMBER = "Nothing was sent: 1 of 1 row cannot be sent: row 1 (to "
TUPLES = "Nothing was sent: the rows are tuples without the names of their columns. "
NO_LIST = "Nothing was sent: recipients must be a list of numbers or mappings, not "
REFUSED = {
    "another header": (read("phone,name\n5556667777,Ada\n"), f"{NO_TO}phone, name. Rename the column that has"),
    "a header in German": (read("Telefon;Name\n5556667777;Ada\n", delimiter=";"), f"{NO_TO}Telefon, Name. Rename"),
    "no header": (
        read("5556667777,Ada\n5556668888,Grace\n"),
        "Nothing was sent: the file of the recipients has no header: its first row is taken for the names of the "
        'columns. Name the columns: csv.DictReader(file, fieldnames=["to", "name"]).',
    ),
    "semicolons": (
        read("to;name\n5556667777;Ada\n"),
        "Nothing was sent: the file of the recipients is separated by semicolons, and was read as one column. Read it "
        'with csv.DictReader(file, delimiter=";").',
    ),
    "tabs": (
        read("to\tname\n5556667777\tAda\n"),
        "Nothing was sent: the file of the recipients is separated by tabs, and was read as one column. Read it with "
        'csv.DictReader(file, delimiter="\\t").',
    ),
    "UTF-16 read as cp1252": (
        [{"ÿþt\0o\0": "5556667777"}],
        'Nothing was sent: the file of the recipients is in UTF-16. Read it with open(path, encoding="utf-16").',
    ),
    "UTF-8 read as cp1252": (
        read("to,name\n5556667777,Zoë\n", read_as="cp1252"),
        "Nothing was sent: the file of the recipients is in UTF-8, and was read in another encoding. Read it with "
        'open(path, encoding="utf-8-sig").',
    ),
    "UTF-8 read as cp1252, with another column first": (
        read("name,to\nZoë,5556667777\n", read_as="cp1252"),
        "Nothing was sent: the file of the recipients is in UTF-8, and was read in another encoding. Read it with ",
    ),
    "a comma without quotes": (read("to,name\n5556667777,King,Ada\n"), f"{ONE_BAD}it has more cells than there are"),
    "two columns of one name": (
        [{"To": ADA, "TO": GRACE, "name": "Ada"}],
        "Nothing was sent: 1 of 1 row cannot be sent: row 1 (to …): 2 of its columns are called `to`: rename all but",
    ),
    "a missing number": (read("to,name\n,Ada\n"), f"{NUMBER}…): `to` is empty"),
    "a missing number of pandas": ([{"to": NAN, "name": "Ada"}], f"{NUMBER}…): `to` is empty"),
    "a number that is not available": ([{"to": "#N/A", "name": "Ada"}], f"{NUMBER}…): `to` says #N/A, as if it were"),
    "a float that lost a digit": (read("to,name\n555666707.0,Ada\n"), f"{NUMBER}…6707): `to` …6707 is a decimal num"),
    "scientific notation": (read("to,name\n5.55667E+09,Ada\n"), f"{NUMBER}…6709): `to` … is in scientific notation"),
    "little scientific notation": (read("to,name\n5.6E+09,Ada\n"), f"{NUMBER}…5609): `to` … is in scientific notation"),
    "thousands": (read('to,name\n"5,556,667,777",Ada\n'), f"{NUMBER}…7777): `to` …7777 is written with separators be"),
    "an extension": (read("to,name\n555-666-7777 ext. 12,Ada\n"), f"{NUMBER}…7777): `to` …7777 has an extension"),
    "two numbers": (
        read("to,name\n555-666-7777; 555-666-8888,Ada\n"),
        f"{NUMBER}…8888): `to` …8888 contains more than",
    ),
    "an exchange that does not exist": (
        read("to,name\n5550667777,Ada\n"),
        f"{NUMBER}…7777): `to` …7777 has an area code",
    ),
    "tuples of a query": ([(ADA, "Ada")], f'{TUPLES}Name them in their order: [dict(zip(("to", "name"), row)) for row'),
    "tuples of one column": ([(ADA,), (GRACE,)], f"{TUPLES}Give [row[0] for row in rows]."),
    "the values of a sheet": (
        [["To", "Name"], [ADA, "Ada"]],
        "Nothing was sent: the rows are lists without the names of their columns. The first one is a header: give "
        "list(csv.DictReader(file)), or [dict(zip(rows[0], row)) for row in rows[1:]].",
    ),
    "lists of mapped tasks": (
        [[{"to": ADA}], [{"to": GRACE}]],
        "Nothing was sent: the rows are lists of rows, such as those of mapped tasks. Give [row for rows in lists for",
    ),
    "lists of numbers": (
        [[ADA, GRACE]],
        "Nothing was sent: the rows are lists of rows, such as those of mapped tasks. Giv",
    ),
    "the text of a Python dict": ("{'to': '5'}", f"{NO_LIST}a string that is not a JSON list. A template gives a list"),
    "a skipped task": (None, f"{NO_LIST}NoneType. The task that returns them was skipped or returned nothing: let it"),
    "one row": ({"to": ADA, "name": "Ada"}, f"{NO_LIST}dict. For one row give [row]."),
    "a dict of pandas": ({"to": {0: ADA}, "name": {0: "Ada"}}, f"{NO_LIST}dict. For a data frame's dict give its rows"),
    "a dict of names": ({"Ada": ADA}, f"{NO_LIST}dict. For a mapping of names and numbers give"),
    "bytes": (b"to,name\n5556667777,Ada\n", f"{NO_LIST}bytes. For the bytes of a CSV file give"),
    "the text of a file": ("to,name\n5556667777,Ada\n", f"{NO_LIST}a string that is not a JSON list. For the text of"),
    "a path": ("/data/customers.csv", f"{NO_LIST}a string that is not a JSON list. For the path of a file give its"),
    "a JSON object": ('{"to": "5556667777"}', f"{NO_LIST}a string that is not a JSON list. For one row give [row]."),
    "one number as text": (ADA, f"{NO_LIST}a string that is not a JSON list. For one number give [number]."),
    "a data frame with two columns of one name": (
        TwiceNamedFrame((ADA, "Ada")),
        "Nothing was sent: two columns of the data frame have one name. Rename one.",
    ),
    "the JSON of a data frame": (
        '{"to": {"0": "5556667777"}, "name": {"0": "Ada"}}',
        f"{NO_LIST}a string that is not a JSON list. For a data frame's dict give its rows",
    ),
    "JSON lines": (
        '{"to": "5556667777"}\n{"to": "5556668888"}\n',
        f"{NO_LIST}a string that is not a JSON list. For JSON lines give [json.loads(line) for line in",
    ),
    "an open file": (io.StringIO("to,name\n5556667777,Ada\n"), f"{NO_LIST}StringIO. For a file give its rows"),
    "the path of a file": (Path("/data/customers.csv"), f"{NO_LIST}PosixPath. For a file give its rows: list(csv.Dict"),
    "an answer with a list inside": ({"records": [{"to": ADA}]}, f"{NO_LIST}dict. For the list inside it give mapping"),
    "objects": (
        [SimpleNamespace(to=ADA), SimpleNamespace(to=GRACE)],
        "Nothing was sent: the rows are of type SimpleNamespace, which has no names of columns. Give mappings: [{",
    ),
    "the rows of a data frame, with their index": (
        [(0, PolarsFrame()), (1, PolarsFrame())],
        "Nothing was sent: the rows are those of frame.iterrows(). Give the data frame itself.",
    ),
    "columns without names": (
        [{0: ADA, 1: "Ada"}],
        "Nothing was sent: the names of the recipients' columns are of type int, not text. Name them, one of them",
    ),
    "columns of two levels": (
        [{("customer", "to"): ADA}],
        "Nothing was sent: the names of the recipients' columns are of type tuple, not text. Name them, one of them",
    ),
    "semicolons, and a comma in a header": (
        read("to;name;city, state\n5556667777;Ada;Rome\n"),
        "Nothing was sent: the file of the recipients is separated by semicolons, and was read as one column. Read it",
    ),
    "the lines of a file": (
        ["to,name\n", "5556667777,Ada\n"],
        "Nothing was sent: the rows are the lines of a CSV file. Give list(csv.DictReader(lines)).",
    ),
    "the rows of several queries": (
        [[(ADA, "Ada")], [(GRACE, "Grace")]],
        "Nothing was sent: the rows are lists of rows, such as those of mapped tasks. Give [row for rows in lists for",
    ),
    "numbers with commas between them": (
        f"{ADA}, {GRACE}",
        f"{NO_LIST}a string that is not a JSON list. For numbers with commas between them give text.split(',').",
    ),
    "the text of a Python list": (f"['{ADA}']", f"{NO_LIST}a string that is not a JSON list. A template gives a list"),
    "the text of None": ("None", f"{NO_LIST}a string that is not a JSON list. The task that returns them was skipped"),
    "the answer of Google Sheets": (
        {"range": "A1:B2", "values": [["to", "name"], [ADA, "Ada"]]},
        f"{NO_LIST}dict. For the list inside it give mapping[key].",
    ),
    "a last row with an error": ([ADA, "#REF!"], "Nothing was sent: 2 of 2 rows cannot be sent: "),
    "a last row that is not available": ([{"to": "n/a", "name": "NULL"}], f"{NUMBER}…): `to` says n/a, as if it were"),
    "columns that differ in case": (
        [{"to": ADA, "NAME": "Ada", "Name": "Grace"}],
        f"{ONE_BAD}2 of its columns are called `name`: rename all but one. Correct them",
    ),
    "a British number as a whole number": (
        [{"to": 442079460958, "name": "Ada"}],
        f"{NUMBER}…0958): `to` …0958 is too long for a number of the US: if it is of another country, begin it with +",
    ),
    "a British number with zeros": ([{"to": "0044 20 7946 0958", "name": "Ada"}], f"{NUMBER}…0958): `to` …0958 is too"),
    "a number of Singapore without its plus": (
        [{"to": 6581234567, "name": "Ada"}],
        f"{NUMBER}…4567): `to` …4567 has an area code or an exchange that begins with 0 or 1, so a digit may be "
        "missing: if it is of another country, begin it with +",
    ),
    "bytes in a cell": ([{"to": ADA, "name": b"Ada"}], f"{ONE_BAD}in its message, an expression is bytes; decode it"),
    "DynamoDB's values": ([{"to": ADA, "name": {"S": "Ada"}}], f"{ONE_BAD}in its message, an expression is a dict; "),
    "an array in a cell": ([{"to": ADA, "name": deque("ab")}], f"{ONE_BAD}in its message, an expression is a deque; "),
    "UTF-8 read as cp1252, in a name": (
        read("to,name\n5556667777,Zoë\n5556668888,Ada\n", "utf-8", "cp1252"),
        "Nothing was sent: 1 of 2 rows cannot be sent: row 1 (to …7777): in its message, Ã« is UTF-8 in another enc",
    ),
    "UTF-8 read as latin-1, in a price": (
        [{"to": ADA, "name": "£5".encode().decode("latin-1")}],
        f"{ONE_BAD}in its message, Â£ is UTF-8 in another encoding; open the file with utf-8-sig. Correct",
    ),
    "a list in a cell": ([{"to": ADA, "name": []}], f"{ONE_BAD}in its message, an expression is a list; write one of"),
    "an object in a cell": ([{"to": ADA, "name": object()}], f"{ONE_BAD}in its message, an expression is an object"),
    "Excel's separator": (
        read("sep=;\nto;name\n5556667777;Ada\n"),
        "Nothing was sent: the first line of the recipients' file names its separator. Skip it with next(file), then",
    ),
    "a name that was not decoded": ([{"to": ADA, "name": "Zo\ufffd"}], f"{ONE_BAD}character 6 of `message` is U+FFFD"),
    "a number": (5556667777, f"{NO_LIST}int. Give a list"),
    "a blank row in the middle": (
        read("to,name\n5556667777,Ada\n,\n5556668888,Grace\n"),
        "Nothing was sent: 1 of 3 rows cannot be sent: row 2 (to …): `to` is empty",
    ),
    "a title above the header": (
        read("Customers of May,\n,\nTo,Name\n5556667777,Ada\n"),
        "Nothing was sent: the recipients' header is not their first row. Skip the lines above it with next(file), ",
    ),
    "another separator": (
        read("to^name\n5556667777^Ada\n"),
        "Nothing was sent: the file of the recipients is separated by '^', and was read as one column. Read it with ",
    ),
    "a column called ship to": (read("Ship to\n5556667777\n"), f"{NO_TO}Ship to. Rename the column"),
    "columns without a name": (read("phone,,\n5556667777,,\n"), f"{NO_TO}phone. Rename the column"),
    "a workbook read as CSV": (
        [{"PK\3\4\x14\0\6\0": "x"}],
        "Nothing was sent: the file of the recipients is an Excel workbook. Read it with pandas.read_excel(path).",
    ),
    "the bytes of a workbook": (
        b"PK\3\4\x14\0",
        f"{NO_LIST}bytes. For an Excel workbook give pandas.read_excel(path).",
    ),
    "a number in each line": (
        f"{ADA}\n{GRACE}\n",
        f"{NO_LIST}a string that is not a JSON list. For one number in each line give text.split().",
    ),
    "rows of JSON": (
        ['{"to": 1}'],
        "Nothing was sent: the rows are texts of JSON. Give [json.loads(row) for row in rows].",
    ),
    "several data frames": (
        [PandasFrame((ADA, "Ada"))],
        "Nothing was sent: the rows are data frames. Give one: pandas",
    ),
    "a table of Arrow with two columns of one name": (
        TwiceNamedTable((ADA, GRACE)),
        "Nothing was sent: two columns of the data frame have one name. Rename one.",
    ),
    "numbers that a data frame rounded": (
        RoundedFrame((5556667904.0, "Ada")),
        "Nothing was sent: the column `to` is of type float32, which cannot hold every phone number. Read it as text.",
    ),
    "UTF-8 read as cp1252, beside what is right": (
        [{"to": ADA, "name": "Zoë AdÃ©le"}],
        f"{ONE_BAD}in its message, Ã© is UTF-8 in another encoding; open the file with utf-8-sig.",
    ),
    "UTF-8 read by a Mac": (
        [{"to": ADA, "name": "Zo√´"}],
        f"{ONE_BAD}in its message, √´ is UTF-8 in another encoding; ",
    ),
    "UTF-8 read by DOS": ([{"to": ADA, "name": "Zo├½"}], f"{ONE_BAD}in its message, ├½ is UTF-8 in another encoding; "),
    "UTF-8 read by a Mac, in Russian": (
        [{"to": ADA, "name": "–ê–Ω–Ω–∞"}],
        f"{ONE_BAD}in its message, –ê–Ω–Ω–∞ is UTF-8 in another encoding; ",
    ),
    "UTF-8 read as cp1252, in a Polish name": (
        read("to,name\n5556667777,Michał\n", "utf-8", "cp1252"),
        f"{ONE_BAD}in its message, Å‚ is UTF-8 in another encoding; open the file with utf-8-sig. Correct",
    ),
    "UTF-8 read as cp1252, in a header": (
        read("to,prénom\n5556667777,Ada\n", "utf-8", "cp1252"),
        "Nothing was sent: the file of the recipients is in UTF-8, and was read in another encoding. Read it with ",
    ),
    "two numbers with a slash": (
        read("to,name\n555-666-7777 / 555-666-8888,Ada\n"),
        f"{NUMBER}…8888): `to` …8888 contains more than one number",
    ),
    "a wrong name in the template": (
        [{"to": ADA, "full name": "Ada"}],
        f"{ONE_BAD}it has no `name`; its columns are to, full name. Correct them",
    ),
}


@pytest.fixture
def outcome(connection, monkeypatch, caplog):
    """Return who would get which words, or the first line of the error."""
    connection(extra={"from_numbers": "5554332111"})
    sent = []
    monkeypatch.setattr(
        DialogTechSendBulkSmsOperator,
        "_send",
        lambda self, messages, *_: sent.extend((each.message.to, each.message.body) for each in messages),
    )

    def run(recipients, message=HI, context=None, **arguments):
        context = CONTEXT | (context or {})
        with DAG("brought", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
            task = DialogTechSendBulkSmsOperator(task_id="send", recipients=[], message=message, **arguments)
        task.recipients = recipients
        task.render_template_fields(context, dag.get_template_env())
        refusal = None
        try:
            task.execute(context)
        except AirflowFailException as error:
            refusal = str(error)
        if refusal is not None:
            # The log's first line is the error.
            assert " ".join(caplog.messages[-1].split()) == " ".join(refusal.split())
            return refusal
        return {str(to): str(body) for to, body in sent}

    return run


@pytest.mark.parametrize("name", SENT)
def test_what_is_right_is_sent(outcome, name):
    recipients, expected = SENT[name]
    assert outcome(recipients, NAMES.get(name, HI)) == expected


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_cell_is_named_and_nobody_is_texted(outcome, name):
    rows = [{"to": ADA, "name": "Ada", "id": "1", "window": "today"}, {"to": GRACE, "name": "Grace", "id": "2"}]
    rows[1]["window"] = MISSING[name]
    refusal = outcome(rows, ORDER)
    assert refusal.startswith("Nothing was sent: 1 of 2 rows cannot be sent: row 2 (to …8888): its `window` ")
    assert "if it may be, write {{ recipient.window | default('…') }}. Correct them" in refusal


@pytest.mark.parametrize(
    "message",
    [
        "Hi {{ recipient.name | default('you') }}",
        "Hi {{ recipient.name or 'you' }}",
        "Hi {% if recipient.name %}{{ recipient.name }}{% else %}you{% endif %}",
        "Hi {{ 'you' if recipient.name == '' else recipient.name }}",
        "Hi {{ 'you' if recipient.name is none else recipient.name }}",
        "Hi {% if recipient.name is not none %}{{ recipient.name }}{% else %}you{% endif %}",
    ],
)
def test_what_may_be_missing_has_a_default(outcome, message):
    # One list for all of them: each is a row, and a failure names its recipient.
    rows = [{"to": f"555666{number}", "name": value} for number, value in enumerate(MISSING.values(), start=7000)]
    assert outcome(rows, message) == {row["to"]: "Hi you" for row in rows}


@pytest.mark.parametrize(
    "expression",
    [
        "recipient.name | upper",
        "recipient.name ~ '!'",
        "recipient.price | float",
        "'%.2f' | format(recipient.price)",
        "recipient.name | length",
        "recipient['name'].title()",
        "recipient.names | join(', ')",
    ],
)
def test_no_filter_makes_something_of_a_missing_cell(outcome, expression):
    row = {"to": ADA, "name": "", "price": None, "names": NAN}
    assert outcome([row], f"Hi {{{{ {expression} }}}}").startswith(f"{ONE_BAD}its `")


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (
            "To {{ recipient.address.city }}",
            "`address.city` {}; if it may be, write {{{{ recipient.address.city | default('…') }}}}",
        ),
        (
            "{% for one in recipient.orders %}{{ one['n o'] }}{% endfor %}",
            "`orders[1]['n o']` {}; if it may be, write {{{{ recipient.orders[1]['n o'] ",
        ),
        ("To {{ recipient.tags | join(', ') }}", "`tags[1]` {}; if it may be, write {{{{ recipient.tags[1] | default"),
    ],
)
def test_a_value_missing_deeper_in_a_row_is_refused(outcome, message, named):
    for name, value in MISSING.items():
        row = {"to": ADA, "address": {"city": value}, "orders": [{"n o": 1}, {"n o": value}], "tags": ("a", value)}
        word = missing_word(value)
        problem = f"says {word}, as if it were empty" if word else "is empty"
        assert outcome([row], message).startswith(f"{ONE_BAD}its " + named.format(problem)), name


def test_a_long_name_is_given_as_the_template_has_it(outcome):
    name = "Preferred name of the customer's household"
    refusal = outcome([{"to": ADA, name: ""}], f'{{{{ recipient["{name}"] }}}}')
    assert f"its `{name}` is empty; if it may be, write {{{{ recipient[{name!r}] | default('…') }}}}" in refusal


def test_the_keys_of_what_is_in_a_row_are_shortened(outcome):
    refusal = outcome(
        [{"to": ADA, "numbers": {"5556668888": "", "x" * 200: ""}}], "{{ recipient.numbers.values() | join }}"
    )
    assert refusal.startswith(f"{ONE_BAD}its `numbers['…8888']` is empty")
    assert len(refusal) < 400


def test_a_value_deeper_in_a_row_is_sent(outcome):
    row = {"to": ADA, "tags": ("a", "", 5.0), "address": UserDict(city="Rome", items=None), "point": Customer(1, 2)}
    message = "{{ recipient.tags | select | join }} {{ recipient.address.city }} {{ recipient.point.name }}"
    assert outcome([row], message) == {ADA: "a5 Rome 2"}


@pytest.mark.parametrize("message", ["Hi {{ recipient }}", "Hi {% for each in recipient %}{{ each }}{% endfor %}"])
def test_the_whole_row_is_no_text(outcome, message):
    assert outcome([{"to": ADA, "": ""}], message).startswith(f"{ONE_BAD}`recipient` is the whole row")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_with_its_place_and_its_mend_in_the_first_line(outcome, name):
    recipients, line = REFUSED[name]
    refusal = outcome(recipients)
    assert isinstance(refusal, str)
    assert refusal.startswith(line)
    assert "555666" not in refusal


@pytest.mark.parametrize("written", ["recipient.name", " recipient['name'] ", "name", "Full Name", "run_id", "ds"])
def test_what_an_f_string_leaves_in_single_braces_is_refused(outcome, written):
    refusal = outcome(
        [{"to": ADA, "name": "Ada", "full name": "x"}], f"Hi {{{written}}}, welcome", context={"run_id": "r"}
    )
    assert refusal.startswith(f"{ONE_BAD}its message has {{{written}}} in single braces, which are sent as they are: ")


def test_other_braces_are_sent(outcome):
    message = "{{ recipient.name }} {x} {} {'a': 1} { {{ recipient.name }} }"
    assert outcome([{"to": ADA, "name": "{name}", "": ""}], message) == {ADA: "{name} {x} {} {'a': 1} { {name} }"}


def test_a_column_without_recipient_names_the_mend(outcome):
    row = {"to": ADA, "name": "Ada"}
    refusal = outcome([row], "Hi {{ name }}")
    assert refusal.startswith(f"{ONE_BAD}its message has {{{{ name }}}}: write {{{{ recipient.name }}}}. Correct them")
    assert outcome([row], "Hi {{ row.name }}").startswith(f"{ONE_BAD}its message cannot be rendered (UndefinedError:")


def test_one_reason_is_given_once_before_the_rows(outcome):
    refusal = outcome([{"to": f"555666{number}", "full_name": "x"} for number in range(7000, 7100)])
    assert refusal.startswith(
        "Nothing was sent: 100 of 100 rows cannot be sent: it has no `name`; its columns are to, full_name: "
        "rows 1 (to …7000), 2 (to …7001), "
    )
    assert refusal.count("it has no `name`") == 1


def test_a_list_without_a_good_row_is_refused_also_where_bad_rows_are_skipped(outcome):
    assert outcome([{"to": "12", "name": "x"}], invalid="skip").startswith("Nothing was sent: 1 of 1 row cannot be")
    assert outcome(read("phone,name\n5556667777,Ada\n"), invalid="skip").startswith(NO_TO)


def test_a_blank_id_is_none(outcome):
    rows = [{"to": ADA, "name": name, "ID": number} for name, number in (("Ada", NAN), ("Grace", ""))]
    assert "give both rows an `id` of their own" in outcome(rows)
