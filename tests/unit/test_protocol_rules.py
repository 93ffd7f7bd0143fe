"""The protocol: what it holds and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import protocol_with

from analysis.errors import StudyError
from analysis.protocol import Protocol, load_protocol


def test_the_protocol_holds_the_studys_rules(protocol: Protocol) -> None:
    """Window, cohorts and thresholds are those the evaluation was planned with."""
    assert len(protocol.months) == 60
    assert (protocol.months >= protocol.study.programme_start).sum() == 36
    assert protocol.treated_cohorts == {"MCP": ["MCP"], "PACS": ["PACS"], "MCP+PACS": ["MCP", "PACS"]}
    assert [outcome.id for outcome in protocol.primary_outcomes] == ["non_elective_admissions"]
    assert (protocol.quality.departure, protocol.quality.agreement, protocol.quality.longest_run) == (0.30, 0.15, 12)
    assert [rule.baseline_in_programme for rule in protocol.growth] == [True, True, False, False, True]
    assert set(protocol.cohort_labels) == set(protocol.cohort_colours) == {*protocol.treated_cohorts, "rest"}


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
        ('programme_start = "2015-04"', 'programme_start = "2018-04"', "follow one another"),
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
