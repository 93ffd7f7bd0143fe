"""What a refusal says of a cell: the cell where it cannot be of anybody, else its form."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.records.cells import cell, common_value, line
from analysis.records.extract import COLUMNS

FORM = " (9 is any digit, A any letter)"


@pytest.mark.parametrize(
    ("column", "text", "words"),
    [
        ("DISDATE", "2015-02-30", "'2015-02-30', a day that no calendar has"),
        ("DISDATE", "2015-02-30 13:45", "'2015-02-30', a day that no calendar has, in '9999-99-99 99:99'"),
        ("DISDATE", "2014-00-10", "'2014-00-10', a day that no calendar has"),
        ("DISDATE", "2014-13-01", "'9999-99-99', whose month is above 12" + FORM),
        ("DISDATE", "2014-05-10 24:00", "'24:00', a time that no clock has, in '9999-99-99 99:99'"),
        ("DISDATE", "10/05/2014", "'99/99/9999'" + FORM),
        ("DISDATE", "2015-02-301", "'9999-99-999'" + FORM),
        ("ADMIDATE", "O'Néill٣", "\"A'AAAAA9\"" + FORM),
        ("EPISTAT", "1.5", "'1.5'"),
        ("EPISTAT", "9434765919", "'9999999999'" + FORM),
        ("STARTAGE", "70y", "'99A'" + FORM),
        ("TOKEN_PERSON_ID", "1.5", "'9.9'" + FORM),
    ],
)  # fmt: skip
def test_a_refused_cell(column: str, text: str, words: str) -> None:
    assert cell(column, text) == words


@given(st.dates(), st.sampled_from(["{:%Y-%m-%d}", "{:%Y-%d-%m}", "{:%d/%m/%Y}", "{:%Y%m%d}", "{:%Y-%m-%d} 24:00", "{:%Y-%m-%d}T10:00:00Z", "{:%d %b %Y}"]), st.sampled_from([*COLUMNS]))  # fmt: skip
def test_no_date_of_anybody_is_shown(day: object, form: str, column: str) -> None:
    said = cell(column, form.format(day))
    assert not re.search(r"\d{4}.*\d", re.sub(r"9999\S*|24:00|above 12|9 is", "", said)), said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A8100", "'A8100'"), ("9434765919", "'9999999999'"), ("Emergency: A&E", "'Emergency: A&E'"), ("943 476 5919", "'999 999 9999'"),
        ("E38000001", "'E38000001'"), ("1925-03-04", "'9999-99-99'"), ("1800-01-01", "'1800-01-01'"), ("9999-12-31", "'9999-12-31'"),
        ("04/03/1925", "'99/99/9999'"), ("QQ 12 34 56 C", "'AA 99 99 99 A'"),
    ],
)  # fmt: skip
def test_a_value_of_many_rows(text: str, words: str) -> None:
    """They may be of one patient, in a column that is not the one it is called."""
    assert common_value(text) == words


def test_a_line_below_the_table() -> None:
    assert line("(60 rows affected)") == "'(60 rows affected)'" and line("9434765919") == "'9999999999'"
