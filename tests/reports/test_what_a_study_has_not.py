"""Reports of studies without something: what a protocol may leave out, and what could not be estimated, with the reason in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import tomlkit
from documents import every_text
from small_study import PLACES, Rules, estimated, rules

from analysis.core.errors import StudyError
from analysis.protocol.protocol import ENGLAND_COHORT, load_protocol

SLOW = pytest.mark.slow
NAMED = {"published", "reconciliation", "facts", "simulation", "its_simulation", "editions"}


def without_controls(found: Rules) -> None:
    found["outcomes"] = found["outcomes"][:1]


def without_tables(found: Rules) -> None:
    found["report"] = {key: found["report"][key] for key in ("agree_within", "name", "mar")}
    for rule in found["growth"]:
        rule.pop("published", None)


def one_growth_rule(found: Rules) -> None:
    without_tables(found)
    found["growth"] = found["growth"][2:3]


def no_growth_rule(found: Rules) -> None:
    found["growth"] = []


def one_specification(found: Rules) -> None:
    found["specifications"] = found["specifications"][:1]
    found["specification_curve"]["crossed"] = []


def nothing_crossed(found: Rules) -> None:
    found["specification_curve"]["crossed"] = []


def no_places_to_evaluate(found: Rules) -> None:
    found["inference"]["evaluability"] = {}


def one_departure_of_trends(found: Rules) -> None:
    found["inference"]["trends"] = {"relative_magnitudes": [1], "smoothness": [0.001]}


def no_departure_of_trends(found: Rules) -> None:
    found["inference"]["trends"] = {"relative_magnitudes": [], "smoothness": []}


def one_programme_year(found: Rules) -> None:
    found["programme_years"] = found["programme_years"][:1]


def no_years_asked_for(found: Rules) -> None:
    for choice in found["specifications"]:
        choice.pop("years", None)


def one_design(found: Rules) -> None:
    for choice in found["specifications"]:
        choice["designs"] = ["did"]


def no_national_check_limit_or_deviation(found: Rules) -> None:
    found["its"]["national_checks"] = []
    found["report"]["limits"] = []
    found["deviations"] = []


def one_effect_month(found: Rules) -> None:
    found["its"]["effect_months"] = [12]


LEFT_OUT: list[Callable[[Rules], None]] = [
    without_controls, without_tables, one_growth_rule, no_growth_rule, one_specification, nothing_crossed, no_places_to_evaluate,
    one_departure_of_trends, no_departure_of_trends, one_programme_year, no_years_asked_for, one_design,
    no_national_check_limit_or_deviation, one_effect_month,
]  # fmt: skip
ON_EVERY_PUSH = (without_controls,)


@pytest.mark.fault(
    "a protocol without negative controls, or without any other part that it may leave out",
    "the reports do without, or say in a sentence that the study has none",
)
@pytest.mark.parametrize(
    "leave_out",
    [pytest.param(change, marks=SLOW if change in ON_EVERY_PUSH else pytest.mark.nightly) for change in LEFT_OUT],
    ids=[change.__name__ for change in LEFT_OUT],
)
def test_what_a_protocol_leaves_out_the_reports_do_without(tmp_path: Path, leave_out: Callable[[Rules], None]) -> None:
    changed = rules()
    leave_out(changed)
    texts = every_text(estimated(tmp_path, changed))
    said = "No outcome of this study is a negative control" in texts["evaluation"]
    assert said == (len(changed["outcomes"]) == 1)


def test_a_study_without_a_programme_year_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "protocol.toml"
    file.write_text(tomlkit.dumps(rules() | {"programme_years": []}), encoding="utf-8")
    with pytest.raises(StudyError, match="programme_years"):
        load_protocol(file)


@SLOW
@pytest.mark.fault(
    "a programme of one model with one site of one commissioner",
    "what can be estimated is; the reports come out and say what could not, and why",
)
@pytest.mark.nightly
def test_one_site_of_one_commissioner(tmp_path: Path) -> None:
    work = estimated(tmp_path, rules(), {"05C": PLACES["05C"]})
    estimates, absent = pd.read_parquet(work.estimates), pd.read_csv(work.not_run)
    assert {"did", "event_study", "its", "cits", "growth"} <= set(estimates.design)
    assert "nothing is left without Dudley MCP, the only site" in set(absent.reason)
    texts = every_text(work)
    assert "MCP: no estimate without one of its sites could be made." in texts["appendix"]
    assert "Growth of one site alone has no interval." in texts["evaluation"]


@SLOW
@pytest.mark.parametrize(
    "places",
    [
        {code: (model, site, 0.5) for code, (model, site, _) in PLACES.items()},
        {code: (model, site, None) for code, (model, site, _) in PLACES.items()},
    ],
    ids=["covered in part", "covered in a part that nobody knows"],
)
def test_a_programme_without_a_place_that_is_covered_as_a_whole(
    tmp_path: Path, places: dict[str, tuple[str, str, float | None]]
) -> None:
    """Nothing but England's own series can be estimated: every report says so."""
    work = estimated(tmp_path, rules(), places)
    assert set(pd.read_parquet(work.estimates).cohort) == {ENGLAND_COHORT}
    assert set(pd.read_csv(work.not_run).reason) >= {"no unit treated, or none untreated"}
    texts = every_text(work)
    assert "could not be estimated (no unit treated, or none untreated)" in texts["evaluation"]
