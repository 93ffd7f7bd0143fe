"""The panel and the sample: what is summed, masked, left out and refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic import attributes_of, changed, cleaned_panel, two_way_counts

from analysis.core.errors import DataError
from analysis.estimation.regression.sample import Sample, UnitTables, build_sample
from analysis.panel.panel import Cleaned, aggregate, clean
from analysis.panel.snapshot import UNITS, summarise
from analysis.protocol.protocol import Protocol

TREATED = {
    "U00": ("MCP", "Alpha", 1.0), "U01": ("MCP", "Alpha", 1.0), "U02": ("MCP", "Beta", 0.5),
    "U03": ("PACS", "Gamma", 1.0), "U04": ("PACS", "Delta", None),
}  # fmt: skip
OUTCOME = "non_elective_admissions"
GAP = slice(15, 24)


@pytest.fixture(scope="module")
def cleaned(protocol: Protocol) -> Cleaned:
    """Forty units; U07 lost nine months, U08 its last two."""
    counts = changed(changed(two_way_counts().round(), "U07", GAP.start, GAP.stop, 0.1), "U08", 58, 60, 0.2).round()
    tables = {outcome.id: counts for outcome in protocol.outcomes}
    return cleaned_panel(tables, attributes_of(list(counts.index), TREATED), protocol)


@pytest.fixture(scope="module")
def rows(cleaned: Cleaned) -> pd.DataFrame:
    panel = cleaned.panel
    return panel[(panel.geography == "ccg") & (panel.outcome == OUTCOME)]


def test_a_masked_month_has_no_value_and_keeps_what_was_published(rows: pd.DataFrame) -> None:
    """Nine months are null with their population, published figures stay; pending months keep their value."""
    masked = rows[rows.value.isna()]
    assert set(masked.unit) == {"U07"}
    assert masked.month.tolist() == list(pd.date_range("2014-07-01", "2015-03-01", freq="MS"))
    assert masked.population.isna().all()
    assert (masked.value_published > 0).all()
    assert set(masked.quality) == {"missing_return"}
    pending = rows[rows.quality == "pending"]
    assert pending.unit.tolist() == ["U08"] * 2
    assert (pending.value == pending.value_published).all()


def test_a_site_of_the_snapshot_is_covered_as_a_whole_only_if_each_of_its_units_is(protocol: Protocol) -> None:
    """What share of Epsilon is covered nobody knows from its units alone: one of them is covered as a whole, the other in half."""
    counts = two_way_counts().round()
    treated = TREATED | {"U05": ("MCP", "Epsilon", 1.0), "U06": ("MCP", "Epsilon", 0.5)}
    whole = cleaned_panel({o.id: counts for o in protocol.outcomes}, attributes_of(list(counts.index), treated), protocol)
    areas = pd.DataFrame({"unit": counts.index, "stp_code": "S", "stp_name": "Elsewhere"})
    shares = summarise(whole.panel, areas)[UNITS].set_index("site").covered_share
    assert shares[["Alpha", "Beta", "Gamma"]].to_list() == [1.0, 0.5, 1.0] and np.isnan(shares["Epsilon"])


def test_england_is_the_sum_of_kept_units_with_their_people(cleaned: Cleaned, rows: pd.DataFrame) -> None:
    """Published sums hold everyone; value and population hold those unmasked, in every month."""
    england = cleaned.panel[(cleaned.panel.geography == "england") & (cleaned.panel.outcome == OUTCOME)].set_index(
        "month"
    )
    for column in ("value_published", "population_published"):
        assert england[column].to_numpy() == pytest.approx(rows.groupby("month")[column].sum().to_numpy())
    kept = rows[rows.quality != "missing_return"].groupby("month")
    assert england.value.to_numpy() == pytest.approx(kept.value_published.sum().to_numpy())
    assert england.population.to_numpy() == pytest.approx(kept.population_published.sum().to_numpy())


def test_an_area_sums_its_unmasked_members_and_is_null_without_any(rows: pd.DataFrame) -> None:
    """U07 with U09 keeps U09's counts and people; U07 alone has none; the rule that masked it names both."""
    membership = pd.DataFrame({"unit": ["U07", "U09", "U10"], "area": ["both", "both", "other"]})
    sums = aggregate(rows, membership).set_index(["unit", "month"]).sort_index()
    gap = pd.Timestamp("2014-10-01")
    one = rows.set_index(["unit", "month"])
    assert sums.loc[("both", gap), "value"] == one.loc[("U09", gap), "value_published"]
    assert sums.loc[("both", gap), "population"] == one.loc[("U09", gap), "population_published"]
    both = one.loc[[("U07", gap), ("U09", gap)]]
    assert sums.loc[("both", gap), "value_published"] == both.value_published.sum()
    assert sums.loc[("both", gap), "population_published"] == both.population_published.sum()
    assert sums.loc[("both", gap), "quality"] == "missing_return"
    assert (sums.loc["other"].quality == "ok").all()
    alone = aggregate(rows, pd.DataFrame({"unit": ["U07"], "area": ["alone"]})).set_index("month")
    assert alone.value.isna().sum() == alone.population.isna().sum() == 9
    assert alone.loc[gap, "value_published"] > 0


def test_what_is_suppressed_is_not_published_as_none(rows: pd.DataFrame) -> None:
    """Of counts from records, of one of two members or of both; what is used is of the one that is shown."""
    membership = pd.DataFrame({"unit": ["U09", "U10"], "area": ["both", "both"]})
    hidden = (rows.unit == "U09") & (rows.month <= "2014-02-01") | (rows.unit == "U10") & (rows.month <= "2014-01-01")
    suppressed = rows.assign(**{name: rows[name].mask(hidden) for name in ("value_published", "value", "population")})
    sums = aggregate(suppressed, membership).set_index("month")
    assert sums.value_published.isna().equals(pd.Series(sums.index <= "2014-02-01", sums.index))
    assert sums.value.isna().equals(pd.Series(sums.index <= "2014-01-01", sums.index))
    of_one = rows.set_index(["unit", "month"]).value[("U10", pd.Timestamp("2014-02-01"))]
    assert sums.value[pd.Timestamp("2014-02-01")] == of_one and (sums.population_published > sums.population[pd.Timestamp("2014-02-01")]).all()


def test_the_ledger_says_what_was_lost(cleaned: Cleaned) -> None:
    """One line per flagged unit-month and outcome, with the month's note."""
    ledger = cleaned.ledger[cleaned.ledger.outcome == OUTCOME]
    assert ledger.rule.value_counts().to_dict() == {"missing_return": 9, "pending": 2}
    assert ledger[ledger.rule == "missing_return"].ratio.between(0.09, 0.11).all()
    assert set(ledger.unit_name) == {"NHS U07 CCG", "NHS U08 CCG"}


@pytest.mark.slow
def test_notes_stand_beside_the_month(protocol: Protocol) -> None:
    """What the file says of a month stands in the ledger's lines of that month and no other."""
    counts = changed(two_way_counts(), "U07", 15, 17, 0.1)
    long = pd.concat([counts.stack().rename("value").reset_index().assign(outcome=o.id) for o in protocol.outcomes])
    population = counts.stack().rename("population").reset_index()
    notes = {counts.columns[15]: "No return from RXX."}
    ledger = clean(long, population, attributes_of(list(counts.index), {}), notes, protocol).ledger
    assert ledger[ledger.outcome == OUTCOME].note.tolist() == ["No return from RXX.", ""]


def test_a_hole_in_the_counts_names_unit_and_month(protocol: Protocol) -> None:
    """A unit without a count in one month stops the run."""
    tables = {outcome.id: two_way_counts() for outcome in protocol.outcomes}
    tables[OUTCOME] = tables[OUTCOME].drop(columns=tables[OUTCOME].columns[-1])
    with pytest.raises(DataError, match=r"March 2018(.|\n)*no count for unit U00"):
        cleaned_panel(tables, attributes_of(list(two_way_counts().index), {}), protocol)


@pytest.mark.parametrize("what", ["population", "attributes"])
def test_a_unit_without_people_or_attributes_is_refused(protocol: Protocol, what: str) -> None:
    """A unit that a table lacks must stop the run, not leave the panel in silence."""
    counts = two_way_counts()
    long = pd.concat([counts.stack().rename("value").reset_index().assign(outcome=o.id) for o in protocol.outcomes])
    population = counts.stack().rename("population").reset_index()
    attributes = attributes_of(list(counts.index), {})
    if what == "population":
        population = population[population.unit != "U05"]
    else:
        attributes = attributes[attributes.unit != "U05"]
    with pytest.raises(DataError, match="U05"):
        clean(long, population, attributes, {}, protocol)


def _sample(
    cleaned: Cleaned, protocol: Protocol, models: list[str], specification: str = "primary", **changes: object
) -> Sample:
    chosen = protocol.specification(specification).model_copy(update=changes)
    tables = UnitTables(shifted=frozenset({"U00", "U20"}))
    return build_sample(cleaned.panel, OUTCOME, models, chosen, protocol, tables)


def test_a_cohort_is_its_wholly_covered_units_against_units_of_no_model(cleaned: Cleaned, protocol: Protocol) -> None:
    """Other models and partly covered units, of a known share or not, are in neither group; sites are clusters."""
    sample = _sample(cleaned, protocol, ["MCP"])
    assert sample.units[sample.treated].tolist() == ["U00", "U01"]
    assert set(sample.units[~sample.treated]) == {f"U{i:02d}" for i in range(5, 40)}
    assert sample.cluster[0] == sample.cluster[1]
    assert len(set(sample.cluster)) == sample.cluster.max() + 1 == 36
    assert _sample(cleaned, protocol, ["MCP", "PACS"]).units[:3].tolist() == ["U00", "U01", "U03"]


def test_specifications_choose_what_a_model_sees(cleaned: Cleaned, protocol: Protocol) -> None:
    """Masking, pending months, population and units with a lasting shift follow the specification."""
    unit = {name: i for i, name in enumerate(_sample(cleaned, protocol, ["MCP"]).units)}
    primary = _sample(cleaned, protocol, ["MCP"])
    assert np.isnan(primary.counts[unit["U07"], GAP]).all()
    assert np.isnan(primary.counts).sum() == 9
    assert np.isfinite(primary.population_full).all()
    unmasked = _sample(cleaned, protocol, ["MCP"], "unmasked")
    assert np.isfinite(unmasked.counts).all()
    pending = _sample(cleaned, protocol, ["MCP"], "pending_masked")
    assert np.argwhere(np.isnan(pending.counts[unit["U08"]])).ravel().tolist() == [58, 59]
    fixed = _sample(cleaned, protocol, ["MCP"], "fixed_population")
    june = fixed.months.get_loc(protocol.population.anchor)
    assert (fixed.population_full == primary.population_full[:, [june]]).all()
    flat = _sample(cleaned, protocol, ["MCP"], "flat_backfill")
    first = flat.months.get_loc(protocol.population.first_list)
    assert (flat.population_full[:, :first] == primary.population_full[:, [first]]).all()
    assert (flat.population_full[:, first:] == primary.population_full[:, first:]).all()
    shifted = _sample(cleaned, protocol, ["MCP"], "no_lasting_shift")
    assert set(primary.units) - set(shifted.units) == {"U00", "U20"}


def test_the_order_of_rows_does_not_matter(cleaned: Cleaned, protocol: Protocol) -> None:
    """A shuffled panel, and the models named in another order, give the same arrays."""
    mixed = Cleaned(cleaned.panel.sample(frac=1, random_state=3), cleaned.ledger, cleaned.shifts)
    first, second = _sample(cleaned, protocol, ["MCP", "PACS"]), _sample(mixed, protocol, ["PACS", "MCP"])
    for name in ("units", "months"):
        assert getattr(first, name).equals(getattr(second, name))
    for name in ("counts", "population", "treated", "cluster"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
