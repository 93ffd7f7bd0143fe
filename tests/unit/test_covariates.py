"""What the CCG units are like: weighted over their members, and their nearest in order."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from analysis.core.errors import DataError
from analysis.panel.covariates import similar_units, unit_covariates
from analysis.panel.geography import Geography, build_geography

GSS = {"00A": "E38000001", "00B": "E38000002", "00C": "E38000003", "01H": "E38000004", "01K": "E38000005"}


@pytest.fixture(scope="module")
def geography() -> Geography:
    """00A and 00B merged into 10A within the study; 01H and 01K are pooled."""
    changes = pd.DataFrame(
        [("00A", "10A", "2017-04-01", "merger"), ("00B", "10A", "2017-04-01", "merger"),
         ("01H", "01K", "2017-04-01", "boundary move")],
        columns=["pred_code", "succ_code", "effective", "kind"],
    )  # fmt: skip
    changes["effective"] = pd.to_datetime(changes.effective)
    return build_geography(changes.assign(pred_name="", succ_name=""), list(GSS), dt.date(2017, 4, 1))


def _ccgs(similar: dict[str, list[str]]) -> pd.DataFrame:
    """``similar``: CCG → its similar CCGs, the most similar first."""
    rows = [(code, rank, other) for code, others in similar.items() for rank, other in enumerate(others, start=1)]
    table = pd.DataFrame(rows, columns=["ccg_code", "rank", "similar_ccg_code"])
    return table.assign(gss_code=table.ccg_code.map(GSS))


CCGS = _ccgs(
    {
        "00A": ["00B", "00C", "01K"],
        "00B": ["01H", "00A", "00C"],
        "00C": ["00B", "01K", "00A"],
        "01H": ["01K", "00C", "00A"],
        "01K": ["00B", "01H", "00C"],
    }
)
STP = pd.DataFrame({"unit": ["10A", "00C", "01H+01K"], "stp_code": ["E54000001", "E54000002", "E54000003"]})
# Persons aged 74, 75 and 90 or more.
AGES = {"00A": (60, 30, 10), "00B": (280, 15, 5), "00C": (190, 8, 2), "01H": (50, 25, 25), "01K": (75, 25, 0)}
MID2015 = pd.DataFrame(
    [(GSS[code], age, persons) for code, row in AGES.items() for age, persons in zip((74, 75, 90), row, strict=True)],
    columns=["gss_code", "age", "persons"],
)
IMD = pd.DataFrame({"gss_code": GSS.values(), "imd_average_score": [40.0, 20.0, 12.5, 10.0, 30.0]})


def test_covariates_are_those_of_all_the_units_people(geography: Geography) -> None:
    """10A: 60 of 400 people are 75 or over, and (40 × 100 + 20 × 300) ÷ 400 is its score."""
    table = unit_covariates(STP, MID2015, IMD, CCGS, geography).set_index("unit")
    assert list(table.index) == ["00C", "01H+01K", "10A"]
    assert table.stp_code.to_dict() == dict(zip(STP.unit, STP.stp_code, strict=True))
    assert table.share_75_plus.to_dict() == {"00C": 0.05, "01H+01K": 0.375, "10A": 0.15}
    assert table.imd_average_score.to_dict() == {"00C": 12.5, "01H+01K": 20.0, "10A": 25.0}


def test_without_the_deprivation_file_its_column_is_empty(geography: Geography) -> None:
    table = unit_covariates(STP, MID2015, None, CCGS, geography)
    assert table.imd_average_score.isna().all()
    assert table.share_75_plus.notna().all()


@pytest.mark.parametrize("spoilt", [IMD.head(4), IMD.assign(gss_code=IMD.gss_code.replace("E38000003", "E38000999"))])
def test_deprivation_of_other_ccgs_is_refused(geography: Geography, spoilt: pd.DataFrame) -> None:
    """A score that is missing would pull a mean down in silence."""
    with pytest.raises(DataError, match=r"CCG E3800000[35]"):
        unit_covariates(STP, MID2015, spoilt, CCGS, geography)


def test_similar_units_are_those_of_any_member(geography: Geography) -> None:
    """Each unit's own members are left out, the best rank is kept, and equal ranks stand in order of code."""
    table = similar_units(CCGS, geography)
    assert list(map(tuple, table.to_numpy())) == [
        ("00C", 1, "10A"), ("00C", 2, "01H+01K"),
        ("01H+01K", 1, "10A"), ("01H+01K", 2, "00C"),
        ("10A", 1, "01H+01K"), ("10A", 2, "00C"),
    ]  # fmt: skip


def test_equal_ranks_stand_in_order_of_code(geography: Geography) -> None:
    table = similar_units(_ccgs({"00A": ["01K", "00C"], "00B": ["00C", "01H"]}), geography)
    assert table.similar_unit.tolist() == ["00C", "01H+01K"]
    assert table["rank"].tolist() == [1, 1]
