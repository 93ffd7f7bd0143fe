"""Editions, the ledger between two of them, and what `make refresh` does to the manifest and the protocol."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from analysis.core.workspace import PROTOCOL_FILE
from analysis.editions.archive import with_study_key
from analysis.editions.editions import (
    COLUMNS,
    acknowledged,
    headline_changes,
    last_edition,
    read_editions,
    side_by_side,
    unacknowledged,
    with_edition,
)
from analysis.editions.ledger import CAUSES, changed_runs, refresh_ledger
from analysis.editions.offers import Offer, Reach, last_whole_month, with_offers
from analysis.protocol.protocol import Protocol, load_protocol
from analysis.sources.manifest import Pin, manifest_text, read_manifest

# --- The ledger


def estimates(**values: float) -> pd.DataFrame:
    """A table of estimates: id → value, each with a standard error of 0.5 and an interval."""
    rows = [
        {
            "estimate_id": name, "design": "did", "outcome": "o", "cohort": "A", "specification": "primary", "term": name, "scale": "log_rate",
            "inference": "CR1", "estimate": value, "std_error": 0.5, "ci_low": value - 1, "ci_high": value + 1, "conf_level": 0.95, "p_value": 0.4,
        }
        for name, value in values.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_parts_add_up_to_the_whole_and_the_largest_is_the_cause() -> None:
    chain = [estimates(a=1.0, b=2.0), estimates(a=1.1, b=2.0), estimates(a=0.6, b=2.0), estimates(a=0.7, b=2.5)]
    ledger = refresh_ledger(chain, ["code", "new_months", "rule"]).set_index("estimate_id")
    a, b = ledger.loc["a"], ledger.loc["b"]
    assert (a.moved, a.by_code, a.by_new_months, a.by_rule) == pytest.approx((-0.3, 0.1, -0.5, 0.1))
    assert a.moved_in_se == pytest.approx(-0.6)
    assert (a.cause, b.cause) == ("new_months", "rule")
    parts = ledger[[f"by_{cause}" for cause in CAUSES]].sum(axis=1)
    assert parts.to_numpy() == pytest.approx(ledger.moved.to_numpy())


def test_estimates_that_stay_come_and_go() -> None:
    before, after = estimates(same=1.0, gone=2.0), estimates(same=1.0 + 1e-13, new=3.0)
    ledger = refresh_ledger([before, after], ["protocol"]).set_index("estimate_id")
    assert ledger.status.to_dict() == {"same": "same", "new": "new", "gone": "gone"}
    assert ledger.loc["gone", "before"] == 2.0 and pd.isna(ledger.loc["gone", "after"])
    assert (ledger.cause == "").all()


def test_a_method_without_a_standard_error_is_measured_by_its_interval() -> None:
    before = estimates(a=1.0).assign(std_error=float("nan"), ci_low=1 - 1.959964, ci_high=1 + 1.959964)
    ledger = refresh_ledger([before, estimates(a=2.0)], ["seed"])
    assert ledger.moved_in_se[0] == pytest.approx(1, abs=1e-6)


def test_what_the_rule_says_otherwise_of_earlier_months() -> None:
    def runs(*rows: tuple[str, str, str]) -> pd.DataFrame:
        table = pd.DataFrame(rows, columns=["unit", "month", "rule"]).assign(outcome="o")
        return table.assign(month=pd.to_datetime(table.month))

    before = runs(("A", "2016-11-01", "pending"), ("B", "2016-12-01", "pending"), ("C", "2015-01-01", "missing_return"))
    after = runs(
        ("A", "2016-11-01", "missing_return"), ("C", "2015-01-01", "missing_return"), ("D", "2017-02-01", "pending")
    )
    changed = changed_runs(before, after, pd.Timestamp("2016-12-01"))
    assert changed[["unit", "was", "now"]].to_numpy().tolist() == [
        ["A", "pending", "missing_return"],
        ["B", "pending", "ok"],
    ]


# --- Editions and headlines


def verdicts(**changes: object) -> pd.DataFrame:
    row = {
        "outcome": "o",
        "cohort": "A",
        "verdict": "inconclusive",
        "estimate": 1.0,
        "ci_low": -1.0,
        "ci_high": 3.0,
        "p_value": 0.3,
    }
    return pd.DataFrame([row | changes])


def editions(*tables: pd.DataFrame) -> pd.DataFrame:
    found = pd.DataFrame(columns=COLUMNS)
    for table in tables:
        found = with_edition(found, table, "mar", "2018-03", "2026-11-27", "abc")
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"estimate": -1.0}, "sign"),
        ({"p_value": 0.04}, "significance"),
        ({"verdict": "trends in doubt"}, "verdict"),
        ({"cohort": "B"}, "new"),
    ],
)
def test_a_headline_that_changes(change: dict[str, object], said: str) -> None:
    changes = headline_changes(side_by_side(verdicts(), verdicts(**change)), 0.05)
    assert any(said in what for what in [*changes.values()][-1])
    assert headline_changes(side_by_side(verdicts(), verdicts(estimate=1.4, p_value=0.06)), 0.05) == {}


def test_an_edition_is_named_after_its_last_month_and_counted() -> None:
    table = editions(verdicts(), verdicts(), verdicts())
    assert table.edition.tolist() == ["2018-03", "2018-03-2", "2018-03-3"]
    assert last_edition(table, "mar").edition.tolist() == ["2018-03-3"]
    assert last_edition(table, "snapshot").empty


def test_a_change_fails_until_the_changelog_names_the_edition_and_the_headline() -> None:
    table = editions(verdicts(), verdicts(estimate=-1.0))
    (line,) = unacknowledged(table, "- Edition 2018-03: `o/A` is new.\n", 0.05)
    assert "edition 2018-03-2" in line and "`o/A`" in line and "sign" in line
    assert not unacknowledged(table, "- In edition 2018-03-2\n  `o/A` changes its sign, since …\n", 0.05)
    assert unacknowledged(table, "- In edition 2018-03-2 …\n- `o/A` is a headline.\n", 0.05), "two entries"
    assert not unacknowledged(editions(verdicts(), verdicts(estimate=0.2)), "", 0.05)


def test_one_edition_is_not_another() -> None:
    assert acknowledged("- edition 2018-03: `o/A`", "2018-03", "o/A")
    assert not acknowledged("- edition 2018-03-2: `o/A`", "2018-03", "o/A")


def test_the_projects_editions_are_acknowledged(repository: Path) -> None:
    table = read_editions(repository / "reports/editions.csv")
    assert {"mar", "snapshot"} <= set(table.dataset)
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert unacknowledged(table, changelog, load_protocol().study.level) == []


# --- The manifest


def pin(source: str, month: str, name: str = "a.xls", digest: str = "0") -> Pin:
    return Pin(
        source, date.fromisoformat(f"{month}-01"), f"{source}/{name}", "", digest * 64, 10, "p", "t", None, None, "l"
    )


def test_a_revised_file_is_kept_beside_the_earlier_one(tmp_path: Path) -> None:
    held = [pin("dtoc", "2017-01"), pin("mar", "2017-01", digest="1"), pin("mar", "2017-02", "b.xls", "2")]
    revised, new = pin("mar", "2017-01", "c.xls", "3"), pin("mar", "2017-03", "d.xls", "4")
    rows = with_offers(held, [Offer(revised, Path()), Offer(new, Path())], date(2026, 11, 27))
    assert [row.file for row in rows] == ["dtoc/a.xls", "mar/a.xls", "mar/c.xls", "mar/b.xls", "mar/d.xls"]
    path = tmp_path / "manifest.csv"
    path.write_text(manifest_text(rows), encoding="utf-8")
    assert read_manifest(path, superseded_too=True) == rows
    assert [row.file for row in read_manifest(path)] == ["dtoc/a.xls", "mar/c.xls", "mar/b.xls", "mar/d.xls"]
    assert rows[1] == replace(held[1], superseded=date(2026, 11, 27))


def test_the_projects_manifest_is_as_it_would_be_written(repository: Path) -> None:
    path = repository / "data_raw/manifest.csv"
    assert path.read_text(encoding="utf-8") == manifest_text(read_manifest(path, superseded_too=True))


def test_the_window_reaches_to_where_every_source_does() -> None:
    pins = [pin("mar", f"2017-0{month}") for month in (1, 2, 3, 5)] + [
        pin("dtoc", f"2017-0{month}") for month in (1, 2)
    ]
    first, end = date(2017, 1, 1), date(2017, 12, 1)
    later = date(2019, 4, 1)
    assert last_whole_month(pins, {"mar"}, first, end, later) == Reach(
        date(2017, 3, 1), "there is no file of mar for April 2017"
    )
    assert last_whole_month(pins, {"mar", "dtoc"}, first, end, later) == Reach(
        date(2017, 2, 1), "there is no file of dtoc for March 2017"
    )
    assert last_whole_month(pins, {"mar"}, first, date(2017, 2, 1), later) == Reach(date(2017, 2, 1), "")
    assert last_whole_month(pins, {"mar"}, first, end, date(2017, 1, 1)) == Reach(
        date(2017, 1, 1), "population is known to January 2017"
    )
    gap = [pin("mar", "2016-12"), pin("mar", "2017-01")]
    assert last_whole_month(gap, {"mar"}, date(2016, 11, 1), end, later).month is None


# --- The protocol of an interim edition


def interim(tmp_path: Path, month: str) -> Protocol:
    path = tmp_path / "protocol.toml"
    path.write_text(with_study_key(PROTOCOL_FILE.read_text(encoding="utf-8"), "data_to", month), encoding="utf-8")
    return load_protocol(path)


def test_an_interim_edition_has_what_its_window_holds(tmp_path: Path) -> None:
    whole, cut = load_protocol(), interim(tmp_path, "2016-12")
    assert cut.study.interim and not whole.study.interim
    assert (cut.study.end, cut.study.planned_end) == (pd.Timestamp("2016-12-01"), whole.study.end)
    assert len(cut.months) == 45
    assert {rule.id for rule in whole.growth} - {rule.id for rule in cut.growth} == {
        "2016_10_2017_09_on_2014_15",
        "2016_17_on_2015",
    }
    assert [year.end for year in cut.programme_years] == [pd.Timestamp("2016-03-01"), pd.Timestamp("2016-12-01")]
    assert cut.programme_years[-1].label == "2016/17 to December"
    assert cut.its.effect_months == [12]
    assert {known.unit for known in cut.its.known_breaks} == {"00L"}


def test_an_interim_edition_too_short_for_any_growth_is_refused(tmp_path: Path) -> None:
    from analysis.core.errors import StudyError

    with pytest.raises(StudyError, match="data_to is too early"):
        interim(tmp_path, "2015-12")
    with pytest.raises(StudyError, match="expected: a month from 2015-04 to 2018-03"):
        interim(tmp_path, "2018-06")


def test_a_key_is_set_and_taken_out_and_nothing_else_changes() -> None:
    text = PROTOCOL_FILE.read_text(encoding="utf-8")
    longer = with_study_key(text, "data_to", "2016-12")
    assert [line for line in longer.splitlines() if line not in text.splitlines()] == ['data_to = "2016-12"']
    assert with_study_key(longer, "data_to", None) == text
    assert with_study_key(text, "seed", 7).replace("seed = 7\n", "seed = 20170331\n") == text
