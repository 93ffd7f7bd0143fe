"""Local authorities out of CCG units: whose people, how much of the programme, which days."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import protocol_with

from analysis.core.errors import DataError, StudyError
from analysis.panel.geography import Geography, build_geography, read_changes
from analysis.panel.local_authorities import (
    authority_attributes,
    authority_of_district,
    authority_population,
    crosswalk,
    local_authority_rows,
)
from analysis.protocol.protocol import Protocol

ON = pd.Timestamp("2018-04-01")
CODES = ["00A", "00B", "00C", "00D", "01H", "01K"]
PEOPLE = {"00A": 300.0, "00B": 100.0, "00C": 500.0, "00D": 200.0, "01H+01K": 600.0}
# CCG of April 2018 → district → LSOAs: 00A and 00B have become 20A, which crosses a border, as 01H does.
LSOAS = {
    ("20A", "E06000001"): 6, ("20A", "E07000001"): 2, ("00C", "E07000001"): 3, ("00C", "E07000002"): 2,
    ("00D", "E06000053"): 1, ("00D", "E06000052"): 4, ("01H", "E07000002"): 1, ("01H", "E08000001"): 2,
    ("01K", "E08000001"): 1,
}  # fmt: skip
COUNTIES = pd.DataFrame({"lad18_code": ["E07000001", "E07000002"], "county": "Shire"})
NAMED = pd.DataFrame(
    {
        "unit": ["901", "902", "903", "904"],
        "ons_code": ["E06000001", "E10000001", "E06000052", "E08000001"],
        "unit_name": ["Town UA", "Shire", "Cornwall", "Borough"],
    }
)


@pytest.fixture(scope="module")
def geography() -> Geography:
    changes = pd.DataFrame(
        [("00A", "20A", "2018-04-01", "merger"), ("00B", "20A", "2018-04-01", "merger"),
         ("01H", "01K", "2017-04-01", "boundary move")],
        columns=["pred_code", "succ_code", "effective", "kind"],
    )  # fmt: skip
    changes["effective"] = pd.to_datetime(changes.effective)
    return build_geography(changes.assign(pred_name="", succ_name=""), CODES, dt.date(2017, 4, 1))


@pytest.fixture(scope="module")
def lsoas() -> pd.DataFrame:
    places = [place for place, number in LSOAS.items() for _ in range(number)]
    table = pd.DataFrame(places, columns=["ccg_code", "lad_code"])
    return table.assign(lsoa_code=[f"E01{i:06d}" for i in range(len(table))], lad_name=table.lad_code)


@pytest.fixture(scope="module")
def joint(lsoas: pd.DataFrame, geography: Geography) -> pd.DataFrame:
    return crosswalk(lsoas, authority_of_district(lsoas, COUNTIES, NAMED), geography, pd.Series(PEOPLE), ON)


def test_districts_lead_to_their_county_or_themselves(lsoas: pd.DataFrame) -> None:
    """Shire districts by the county's name, others by ONS code; the Isles of Scilly go with Cornwall."""
    assert authority_of_district(lsoas, COUNTIES, NAMED).to_dict() == {
        "E06000001": "901", "E07000001": "902", "E07000002": "902", "E06000053": "903", "E06000052": "903",
        "E08000001": "904",
    }  # fmt: skip


def test_lsoas_of_merged_units_are_shared_out_by_people(joint: pd.DataFrame) -> None:
    """00A has three quarters of 20A's people, so of its LSOAs; the pooled unit has those of both its members."""
    assert joint.set_index(["unit", "authority"]).lsoas.to_dict() == {
        ("00A", "901"): 4.5, ("00A", "902"): 1.5, ("00B", "901"): 1.5, ("00B", "902"): 0.5, ("00C", "902"): 5.0,
        ("00D", "903"): 5.0, ("01H+01K", "902"): 1.0, ("01H+01K", "904"): 3.0,
    }  # fmt: skip


def test_people_follow_their_units_lsoas(joint: pd.DataFrame) -> None:
    """Each month's people of a unit are divided as its LSOAs are, and nobody is lost."""
    later = pd.DataFrame({"unit": PEOPLE.keys(), "month": pd.Timestamp("2015-04-01"), "population": PEOPLE.values()})
    doubled = later.assign(month=pd.Timestamp("2015-05-01"), population=2 * later.population)
    people = authority_population(joint, pd.concat([later, doubled])).pivot(
        index="unit", columns="month", values="population"
    )
    # 901: ¾ of 300 + ¾ of 100; 902: ¼ of each + 500 + ¼ of 600; 903: 200; 904: ¾ of 600.
    assert people.iloc[:, 0].to_dict() == {"901": 300.0, "902": 750.0, "903": 200.0, "904": 450.0}
    assert people.iloc[:, 1].tolist() == [600.0, 1500.0, 400.0, 900.0]
    assert people.iloc[:, 0].sum() == sum(PEOPLE.values())


def _attributes(joint: pd.DataFrame, **units: tuple[str, str | None, float | None, str]) -> pd.DataFrame:
    """Attributes of the authorities where these units (``pool`` for 01H+01K, ``u00A`` for 00A) are in a programme."""
    given = {{"pool": "01H+01K"}.get(name, name.removeprefix("u")): entry for name, entry in units.items()}
    rows = [(unit, *given.get(unit, ("none", None, 0.0, ""))) for unit in PEOPLE]
    columns = ["unit", "model", "site", "covered_share", "other_programmes"]
    return authority_attributes(joint, pd.DataFrame(rows, columns=columns)).set_index("unit")


def test_a_covered_unit_covers_its_share_of_each_authority(joint: pd.DataFrame) -> None:
    """The pooled unit holds 3 of 904's 3 LSOAs and 1 of 902's 8; the others are untouched."""
    table = _attributes(joint, pool=("PACS", "Bay", 1.0, "UEC"))
    assert table.covered_share.to_dict() == {"901": 0.0, "902": 0.125, "903": 0.0, "904": 1.0}
    assert table.model.to_dict() == {"901": "none", "902": "PACS", "903": "none", "904": "PACS"}
    assert table.loc[["902", "904"], "site"].tolist() == ["Bay", "Bay"]
    assert table.site[["901", "903"]].isna().all()
    assert table.other_programmes.to_dict() == {"901": "", "902": "UEC", "903": "", "904": "UEC"}


def test_covered_units_of_one_model_add_up(joint: pd.DataFrame) -> None:
    """00A and 00C in two sites of one model cover 6.5 of 902's 8 LSOAs; the site is that with most of them."""
    table = _attributes(joint, u00A=("MCP", "North", 1.0, "EHCH"), u00C=("MCP", "South", 1.0, "UEC"))
    assert table.loc["902", ["model", "site", "covered_share"]].tolist() == ["MCP", "South", 0.8125]
    assert table.loc["901", ["model", "site", "covered_share"]].tolist() == ["MCP", "North", 0.75]
    assert table.other_programmes["902"] == "EHCH;UEC"


def test_two_models_leave_the_share_open(joint: pd.DataFrame) -> None:
    """902 has 5 LSOAs of one model and 1.5 of another: the larger names it, no share is given."""
    table = _attributes(joint, u00A=("MCP", "North", 1.0, ""), u00C=("PACS", "South", 1.0, ""))
    assert table.loc["902", ["model", "site"]].tolist() == ["PACS", "South"]
    assert np.isnan(table.covered_share["902"])
    assert table.covered_share["901"] == 0.75


@pytest.mark.parametrize("share", [0.4, None])
def test_a_unit_covered_in_part_leaves_the_share_open(joint: pd.DataFrame, share: float | None) -> None:
    """Nobody can say in which authority the covered part lies, whether its size is known or not."""
    table = _attributes(joint, u00C=("MCP", "South", share, ""))
    assert table.loc["902", ["model", "site"]].tolist() == ["MCP", "South"]
    assert np.isnan(table.covered_share["902"])
    both = _attributes(joint, u00C=("MCP", "South", share, ""), u00A=("MCP", "North", 1.0, ""))
    assert np.isnan(both.covered_share["902"])


def test_a_few_lsoas_across_a_border_are_no_coverage(geography: Geography) -> None:
    """One LSOA in a hundred and one is under the threshold and counts as none; one in a hundred counts."""
    for beside, expected in ((100, ("none", 0.0)), (99, ("MCP", 0.01))):
        joint = pd.DataFrame({"unit": ["00C", "00D"], "authority": "901", "lsoas": [1.0, float(beside)]})
        table = _attributes(joint, u00C=("MCP", "South", 1.0, "UEC"))
        assert (table.model["901"], table.covered_share["901"]) == expected
        assert table.other_programmes["901"] == ("UEC" if expected[1] else "")
        in_part = _attributes(joint, u00C=("PACS", "Edge", None, ""), u00D=("MCP", "South", 1.0, ""))
        assert in_part.model["901"] == "MCP"
        assert np.isnan(in_part.covered_share["901"]) == (beside == 99)


@pytest.mark.parametrize(
    ("column", "old", "new", "message"),
    [
        ("lad_code", "E06000001", "E06000099", "district E06000099"),
        ("lad_code", "E07000002", "E07000099", "district E07000099"),
        ("lad_code", "E08000001", "E06000001", r"authority 904 \(Borough, E08000001\) without a district"),
        ("ccg_code", "00C", "99X", "CCG 00C"),
        ("ccg_code", "01K", "99X", "CCG 01K"),
    ],
)
def test_codes_without_a_match_are_refused(
    lsoas: pd.DataFrame, geography: Geography, column: str, old: str, new: str, message: str
) -> None:
    """Neither people nor days may be lost for want of a match."""
    spoilt = lsoas.assign(**{column: lsoas[column].replace(old, new)})
    with pytest.raises(DataError, match=message):
        crosswalk(spoilt, authority_of_district(spoilt, COUNTIES, NAMED), geography, pd.Series(PEOPLE), ON)


def test_a_ccg_that_no_unit_became_is_refused(lsoas: pd.DataFrame, geography: Geography) -> None:
    spoilt = pd.concat([lsoas, lsoas.tail(1).assign(ccg_code="99X")])
    with pytest.raises(DataError, match="CCG 99X"):
        crosswalk(spoilt, authority_of_district(lsoas, COUNTIES, NAMED), geography, pd.Series(PEOPLE), ON)


def _delays(protocol: Protocol) -> pd.DataFrame:
    """The four authorities and two places outside England in every month, ONS codes from July 2015 only."""
    names = dict(zip(NAMED.unit, NAMED.unit_name, strict=True)) | {"9900": "Wales", "9902": "Abroad"}
    rows = [
        (month, unit, ons if month >= pd.Timestamp("2015-07-01") else None, names[unit], 100.0 * i + t)
        for t, month in enumerate(protocol.months)
        for i, (unit, ons) in enumerate([*zip(NAMED.unit, NAMED.ons_code, strict=True), ("9900", None), ("9902", None)])
    ]
    columns = ["month", "local_authority_code", "ons_code", "name", "delayed_days_total"]
    return pd.DataFrame(rows, columns=columns).assign(delayed_days_nhs=lambda d: d.delayed_days_total / 2)


NO_CHANGES = pd.DataFrame(columns=["pred_code", "pred_name", "succ_code", "succ_name", "effective", "kind"]).assign(
    effective=pd.to_datetime([])
)


def _rows(
    delays: pd.DataFrame,
    lsoas: pd.DataFrame,
    geography: Geography,
    protocol: Protocol,
    changes: pd.DataFrame = NO_CHANGES,
) -> pd.DataFrame:
    population = pd.DataFrame(
        [(unit, month, people) for unit, people in PEOPLE.items() for month in protocol.months],
        columns=["unit", "month", "population"],
    )
    attributes = pd.DataFrame({"unit": PEOPLE.keys(), "unit_name": "CCG", "model": "none", "site": None})
    attributes = attributes.assign(covered_share=0.0, other_programmes="")
    return local_authority_rows(delays, changes, lsoas, COUNTIES, ON, geography, population, attributes, protocol)


@pytest.mark.slow
def test_rows_are_the_days_as_published(lsoas: pd.DataFrame, geography: Geography, protocol: Protocol) -> None:
    """One row per authority and month, patients from outside England left out; nothing is masked."""
    rows = _rows(_delays(protocol), lsoas, geography, protocol)
    assert len(rows) == 4 * 60
    assert set(rows.outcome) == {"delayed_days"}
    first = rows[rows.month == protocol.study.start].set_index("unit")
    assert first.value_published.to_dict() == {"901": 0.0, "902": 100.0, "903": 200.0, "904": 300.0}
    assert first.unit_name.to_dict() == dict(zip(NAMED.unit, NAMED.unit_name, strict=True))
    assert first.population.to_dict() == {"901": 300.0, "902": 750.0, "903": 200.0, "904": 450.0}
    assert (rows.value == rows.value_published).all()
    assert (rows.population == rows.population_published).all()
    assert set(rows.quality) == {"ok"}
    assert set(rows.geography) == {"local_authority"}
    assert rows[rows.month == "2016-02-01"].days.tolist() == [29] * 4


@pytest.mark.slow
def test_another_measure_is_a_line_of_the_protocol(lsoas: pd.DataFrame, geography: Geography, tmp_path: Path) -> None:
    chosen = protocol_with(tmp_path, ('measure = "delayed_days_total"', 'measure = "delayed_days_nhs"'))
    rows = _rows(_delays(chosen), lsoas, geography, chosen)
    assert rows[rows.month == chosen.study.start].value.sum() == 300.0
    unknown = protocol_with(tmp_path, ('measure = "delayed_days_total"', 'measure = "delayed_nights"'))
    with pytest.raises(StudyError, match="'delayed_nights'"):
        _rows(_delays(unknown), lsoas, geography, unknown)


def test_an_authority_that_is_not_in_every_month_is_refused(
    lsoas: pd.DataFrame, geography: Geography, protocol: Protocol
) -> None:
    delays = _delays(protocol)
    hole = (delays.local_authority_code == "903") & (delays.month == "2016-02-01")
    with pytest.raises(DataError, match=r"February 2016(.|\n)*no row of authority 903"):
        _rows(delays[~hole], lsoas, geography, protocol)


def test_an_authority_without_an_ons_code_is_refused(
    lsoas: pd.DataFrame, geography: Geography, protocol: Protocol
) -> None:
    delays = _delays(protocol)
    without = delays.assign(ons_code=delays.ons_code.where(delays.local_authority_code != "902"))
    with pytest.raises(DataError, match=r"no ONS code of authority 902 \(Shire\)"):
        _rows(without, lsoas, geography, protocol)


# --- Authorities that begin, end or exchange districts

MERGED = dt.date(2017, 5, 1)


def _changes(*rows: tuple[str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["pred_code", "succ_code", "kind"])
    return table.assign(pred_name="", succ_name="", effective=pd.Timestamp(MERGED))


def _merged(delays: pd.DataFrame) -> pd.DataFrame:
    """901 and 904 are replaced by 905 from May 2017 on, as Bournemouth and Poole were."""
    after = delays.month >= pd.Timestamp(MERGED)
    gone = delays.local_authority_code.isin(["901", "904"]) & after
    new = delays[gone].groupby("month", as_index=False)[["delayed_days_total", "delayed_days_nhs"]].sum()
    new = new.assign(local_authority_code="905", ons_code="E06000099", name="Town and Borough")
    return pd.concat([delays[~gone], new], ignore_index=True)


REPLACED = (("901", "905", "merger"), ("904", "905", "merger"))


@pytest.mark.slow
@pytest.mark.fault(
    "two authorities with social services are replaced by one in the course of the returns",
    "a table (`authority_changes.csv`) tells it, and their days and people are summed; without the row the message names the table",
)
def test_an_authority_that_replaces_two_is_their_sum(
    lsoas: pd.DataFrame, geography: Geography, protocol: Protocol
) -> None:
    apart = _rows(_delays(protocol), lsoas, geography, protocol)
    rows = _rows(_merged(_delays(protocol)), lsoas, geography, protocol, _changes(*REPLACED))
    assert set(rows.unit) == {"902", "903", "905"} and len(rows) == 3 * 60
    became = apart.assign(unit=apart.unit.replace({"901": "905", "904": "905"}))
    for column in ("value", "population"):
        expected = became.groupby(["unit", "month"])[column].sum()
        pd.testing.assert_series_equal(rows.set_index(["unit", "month"])[column].sort_index(), expected)
    assert rows.unit_name[rows.unit == "905"].unique().tolist() == ["Town and Borough"]


def test_authorities_that_exchanged_a_district_are_one_unit(
    lsoas: pd.DataFrame, geography: Geography, protocol: Protocol
) -> None:
    changes = _changes(*REPLACED, ("902", "905", "boundary move: a district left the shire"))
    rows = _rows(_merged(_delays(protocol)), lsoas, geography, protocol, changes)
    assert set(rows.unit) == {"902+905", "903"}
    assert rows.unit_name[rows.unit == "902+905"].unique().tolist() == ["Shire and Town and Borough"]
    first = rows[rows.month == protocol.study.start].set_index("unit")
    assert first.value.to_dict() == {"902+905": 400.0, "903": 200.0}


@pytest.mark.slow
def test_a_change_after_the_window_changes_nothing(
    lsoas: pd.DataFrame, geography: Geography, protocol: Protocol
) -> None:
    later = _changes(*REPLACED).assign(effective=pd.Timestamp("2019-05-01"))
    pd.testing.assert_frame_equal(
        _rows(_delays(protocol), lsoas, geography, protocol, later),
        _rows(_delays(protocol), lsoas, geography, protocol),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), r"April 2013(.|\n)*no row of authority 905 \(Town and Borough\); other files have it from May 2017"),
        (REPLACED[:1], r"May 2017(.|\n)*no row of authority 904"),
        ((*REPLACED, ("902", "906", "merger")), r"May 2017(.|\n)*a row of authority 902"),
    ],
)
def test_an_authority_that_no_table_tells_of_names_the_table(
    lsoas: pd.DataFrame,
    geography: Geography,
    protocol: Protocol,
    rows: tuple[tuple[str, str, str], ...],
    message: str,
) -> None:
    with pytest.raises(DataError, match=message) as problem:
        _rows(_merged(_delays(protocol)), lsoas, geography, protocol, _changes(*rows))
    assert "data_raw/authority_changes.csv" in problem.value.action


def test_the_projects_table_names_authorities_of_the_returns(repository: Path) -> None:
    changes = read_changes(repository / "data_raw/authority_changes.csv")
    now = build_geography(changes, ["809", "810", "811", "812"], dt.date(2019, 5, 1), "authority_changes.csv")
    assert {code: now.unit_of[code] for code in ("809", "810", "811", "738", "812")} == {
        "809": "738+809", "810": "738+809", "811": "738+809", "738": "738+809", "812": "812",
    }  # fmt: skip
    before = build_geography(changes[changes.effective <= "2018-03-01"], ["809", "810"], dt.date(2018, 3, 1))
    assert before.unit_of["810"] == "810" and before.unit_of["809"] == "809"
