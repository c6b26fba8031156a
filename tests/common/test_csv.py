"""CSV that no spreadsheet runs as a formula."""

import csv
import io
from types import SimpleNamespace

import pytest

from common.csvout import CsvRenderer, cell


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("-0.500000", "-0.500000"),
        ("1.5", "1.5"),
        (-7, "-7"),
        ("plain", "plain"),
        (None, ""),
        (True, "true"),
        (False, "false"),
    ],
)
def test_a_cell(value, text):
    assert cell(value) == text


def render(rows):
    view = SimpleNamespace(csv_fields=["a", "b"])
    return CsvRenderer().render({"results": rows}, None, {"view": view}).decode()


def test_lines_end_as_rfc_4180_says_and_quotes_survive():
    text = render([{"a": 'say "hi", twice', "b": "two\nlines"}])
    assert text.startswith("a,b\r\n")
    assert list(csv.reader(io.StringIO(text, newline="")))[1] == ['say "hi", twice', "two\nlines"]


def test_an_empty_table_has_its_header():
    assert render([]) == "a,b\r\n"
