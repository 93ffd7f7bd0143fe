"""The protocol: what it holds and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import protocol_with

from analysis.core.errors import StudyError
from analysis.core.workspace import PROTOCOL_FILE
from analysis.protocol.protocol import Protocol, load_protocol


def test_the_protocol_holds_the_studys_rules(protocol: Protocol) -> None:
    """Window, cohorts and thresholds are those the evaluation was planned with."""
    assert len(protocol.months) == 60
    assert (protocol.months >= protocol.study.programme_start).sum() == 36
    assert protocol.treated_cohorts == {"MCP": ["MCP"], "PACS": ["PACS"], "MCP+PACS": ["MCP", "PACS"]}
    assert [outcome.id for outcome in protocol.primary_outcomes] == ["non_elective_admissions"]
    assert (protocol.quality.departure, protocol.quality.agreement, protocol.quality.longest_run) == (0.30, 0.15, 12)
    assert [rule.baseline_in_programme for rule in protocol.growth] == [True, True, False, False, True]
    assert set(protocol.cohort_labels) == set(protocol.cohort_colours) == {*protocol.treated_cohorts, "rest"}


@pytest.mark.cases(quick=26)
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 20170331", "seed = 20170331\nsede = 1", r"column 'study\.sede'(.|\n)*does not know"),
        ("[its]", "[ist]\nx = 1\n[its]", r"column 'ist'(.|\n)*does not know"),
        (
            "effect_months = [12, 24, 36]",
            "effect_months = [12, 24, 48]",
            "effect_months has 48; the programme has 36 months",
        ),
        ('outcome = "non_elective_admissions"\nsource', 'outcome = "typo"\nsource', "'typo', which is no outcome"),
        ('outcomes = ["non_elective_admissions"]\nlabel', 'outcomes = ["typo"]\nlabel', "'typo', which is no outcome"),
        ('start = "2013-04"', 'start = "2013-13"', "'2013-13' is not a month"),
        ('start = "2013-04"', "start = 201304", 'a month is written "YYYY-MM"'),
        ('start = "2013-04"', "", r"column 'study\.start'"),
        ("announced = 2015-03-10", "announced = 2015-02-30", "a TOML file"),
        ('programme_start = "2015-04"', 'programme_start = "2018-04"', r"'study\.start'(.|\n)*2013-04, 2018-04 and 2018-03(.|\n)*follow one another"),
        ("boundaries = 2017-04-01", 'boundaries = "2018"', r"'study\.boundaries'(.|\n)*a date is written without quotes, as 2018-04-01"),
        ('baseline = ["2014-04", "2015-03"]', 'baseline = ["2014-04", "2015-02"]', "same calendar months"),
        ('baseline = ["2015-01", "2015-12"]', 'baseline = ["2012-01", "2012-12"]', "inside the study's window"),
        ('id = "primary"', 'id = "first"', 'must have the id "primary"'),
        ('role = "primary"', 'role = "secondary"', "no outcome has the role primary"),
        ('role = "primary"', 'role = "main"', "role"),
        ('id = "year2"', 'id = "year1"', "share an id"),
        ('id = "PACS"', 'id = "MCP"', "share an id"),
        ("conf_level = 0.95", "conf_level = 95", "conf_level"),
        ("departure = 0.30", "departure = 1.30", "departure"),
        ("longest_run = 12", "longest_run = 0", "longest_run"),
        ('population = "fixed"', 'population = "growing"', "population"),
        ('estimator = "log_rate"', 'estimator = "probit"', "estimator"),
        ('designs = ["did", "event_study", "growth", "its"]', 'designs = ["did", "guess"]', "designs"),
        ('start = "2016-04"', 'start = "2017-04"', "inside the study's window"),  # year2 would end before it starts
        ('id = "log_rate"', 'id = "log_rate"\ndesigns = ["did", "sites"]', "'log_rate' asks for sites"),
        ('anchor = "2015-06"', 'anchor = "2015-6-1"', "is not a month"),
        ('event_study_base = "2015-01"', 'event_study_base = "2019-01"', "event_study_base"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """The error names the file, the key and what would be right."""
    with pytest.raises(StudyError, match=message) as problem:
        protocol_with(tmp_path, (old, new))
    assert str(tmp_path / "protocol.toml") in str(problem.value)
    assert problem.value.exit_code == 1


def test_what_is_not_toml_is_refused(tmp_path: Path) -> None:
    """A broken line is an error of the study, with the line's number."""
    path = tmp_path / "protocol.toml"
    path.write_text("[study\n")
    with pytest.raises(StudyError, match="line 1"):
        load_protocol(path)


# --- The window

NO_GROWTH = ("[[growth]]", "[[specifications]]")


def _short(folder: Path, *replacements: tuple[str, str]) -> Protocol:
    """The protocol without its comparisons of growth, which need years of their own."""
    text = PROTOCOL_FILE.read_text(encoding="utf-8")
    begins, ends = text.index(NO_GROWTH[0]), text.index(NO_GROWTH[1])
    text = text[:begins] + text[ends:]
    for old, new in (("[[models]]", "growth = []\n\n[[models]]"), *replacements):
        assert old in text
        text = text.replace(old, new, 1)
    text = "growth = []\n" + text.replace("growth = []\n\n", "", 1)
    (folder / "protocol.toml").write_text(text, encoding="utf-8")
    return load_protocol(folder / "protocol.toml")


@pytest.mark.fault(
    "a study that begins a few months before its programme, or ends a few after it",
    "the message names `study.start` (or `study.end`), the months that are needed and the rule that needs each",
)
@pytest.mark.parametrize(
    ("start", "needs"),
    [
        ("2014-08", ["from 2014-07: time series need 9 months"]),
        ("2014-10", ["from 2014-07: time series need 9 months"]),
        ("2015-01", ["from 2014-07: time series", "from 2014-10: an event study needs two quarters"]),
        ("2015-03", ["from 2014-07: time series", "from 2014-10: an event study", "from 2015-01: the quarter of"]),
    ],
)
def test_too_few_months_before_are_refused_with_those_that_are_needed(
    tmp_path: Path, start: str, needs: list[str]
) -> None:
    with pytest.raises(StudyError) as problem:
        _short(tmp_path, ('start = "2013-04"', f'start = "{start}"'))
    assert problem.value.column == "study.start" and problem.value.found.startswith(start)
    assert all(need in problem.value.expected for need in needs)
    assert 'Set start = "2014-07" or earlier' in problem.value.action


@pytest.mark.parametrize(("start", "before"), [("2014-07", 9), ("2014-04", 12), ("2013-10", 18)])
def test_as_many_months_as_the_designs_need_are_enough(tmp_path: Path, start: str, before: int) -> None:
    protocol = _short(tmp_path, ('start = "2013-04"', f'start = "{start}"'))
    assert (protocol.months < protocol.study.programme_start).sum() == before


def test_a_comparison_of_growth_names_the_months_that_it_needs(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as problem:
        protocol_with(tmp_path, ('start = "2013-04"', 'start = "2014-10"'))
    assert "from 2014-04: the baseline of growth 2016_on_2014_15" in problem.value.expected
    assert 'Set start = "2014-04" or earlier' in problem.value.action


@pytest.mark.parametrize("end", ["2015-04", "2015-06", "2015-11"])
def test_too_few_months_after_are_refused_with_those_that_are_needed(tmp_path: Path, end: str) -> None:
    with pytest.raises(StudyError) as problem:
        _short(
            tmp_path,
            ('end = "2018-03"\nprogramme_start', f'end = "2018-03"\ndata_to = "{end}"\nprogramme_start'),
        )
    assert problem.value.column == "study.data_to"
    assert "to 2015-12: time series need 9 months" in problem.value.expected


@pytest.mark.parametrize("base", ["2015-02", "2015-04", "2016-01"])
def test_a_base_that_is_no_quarter_before_the_programme_is_refused(tmp_path: Path, base: str) -> None:
    with pytest.raises(StudyError) as problem:
        protocol_with(tmp_path, ('event_study_base = "2015-01"', f'event_study_base = "{base}"'))
    assert problem.value.column == "inference.event_study_base" and "2015-01" in problem.value.action
