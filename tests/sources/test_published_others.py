"""The other published files, with facts read from the files by hand, and the refusals of their readers."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import xlwt

from analysis.core.errors import DataError
from analysis.sources.ae import MEASURES as ae_measures
from analysis.sources.ae import read_ae
from analysis.sources.dtoc import read_all_dtoc, read_dtoc
from analysis.sources.gp_lists import read_gp_lists
from analysis.sources.imd import read_imd
from analysis.sources.lookup import read_lsoa_lookup, read_similar_ccgs
from analysis.sources.manifest import pins_of, read_manifest, required_months
from analysis.sources.ons import read_mid2015, read_mid2018


@pytest.fixture(scope="module")
def delays(root: Path, mirror: Path) -> pd.DataFrame:
    pins = required_months(read_manifest(root / "data_raw/manifest.csv"), "dtoc", date(2011, 4, 1), date(2018, 3, 1))
    return read_all_dtoc({month: mirror / pin.file for month, pin in pins.items()})


def test_ae(mirror: Path) -> None:
    ae = read_ae(mirror / "ae/AE_England_Timeseries-monthly-Unadjusted.xls").set_index("month")
    assert len(ae) == 105
    assert ae.loc["2010-08-01", "emergency_admissions_total"] == 425702
    assert ae.loc["2019-04-01", "attendances_total"] == 2112184
    assert ae.loc["2019-04-01", "emergency_admissions_via_ae"] == 405439


def test_mid2015(mirror: Path) -> None:
    people = read_mid2015(mirror / "ons/SAPE18DT5-mid-2015-ccg-syoa-estimates.xls")
    assert people["gss_code"].nunique() == 209
    assert people["persons"].sum() == 54_786_327
    halton = people[people["name"] == "NHS Halton"]
    assert halton["persons"].sum() == 126_528
    assert halton.set_index("age").loc[[0, 90], "persons"].tolist() == [1532, 715]


def test_mid2018(mirror: Path) -> None:
    people = read_mid2018(mirror / "ons/SAPE21DT5_mid2018_pop_estimates.csv").set_index("gss_code")["persons"]
    assert len(people) == 191
    assert people["E38000217"] == 547_627


def test_gp_lists(mirror: Path) -> None:
    lists = read_gp_lists(mirror / "gp_lists/openprescribing_ccg_list_size.json")
    assert len(lists) == 191 * 60
    darlington = lists[lists["ccg_code"] == "00C"].set_index("month")["registered_patients"]
    assert darlington.loc[["2014-05-01", "2014-06-01", "2014-07-01"]].tolist() == [106387, 106387, 106620]


def test_imd(mirror: Path) -> None:
    imd = read_imd(mirror / "imd/File_13_ID_2015_Clinical_Commissioning_Group_Summaries.xlsx").set_index("gss_code")
    assert len(imd) == 209
    assert imd.loc["E38000001", ["imd_average_score", "imd_average_rank"]].tolist() == [18.939, 13780.72]


@pytest.mark.slow
def test_lookups(mirror: Path) -> None:
    lsoas = read_lsoa_lookup(mirror / "lookup/lsoa11_ccg18_stp18_lad18.csv")
    assert lsoas[["lsoa_code", "ccg_code", "stp_code", "lad_code"]].nunique().tolist() == [32844, 195, 42, 326]
    similar = read_similar_ccgs(mirror / "lookup/ccg16_rightcare_similar10.csv")
    assert len(similar) == 2090
    assert similar[similar["ccg_code"] == "02N"]["similar_ccg_code"].tolist()[:3] == ["02T", "10A", "05D"]
    assert set(similar["similar_ccg_code"]) <= set(similar["ccg_code"])


@pytest.mark.slow
def test_delays_of_every_month(delays: pd.DataFrame) -> None:
    assert delays.groupby("month")["local_authority_code"].nunique().tolist() == [154] * 84
    england = delays.groupby("month")["delayed_days_total"].sum()
    assert england.loc[["2011-04-01", "2017-04-01"]].tolist() == [108064, 176886]
    acute = delays[delays["month"] == "2017-04-01"]["delayed_days_acute"].sum()
    assert acute == 115539
    parts = delays[["delayed_days_nhs", "delayed_days_social_care", "delayed_days_both"]].sum(axis=1)
    assert (parts == delays["delayed_days_total"]).all()


@pytest.mark.slow
def test_ons_codes_of_authorities_from_july_2015(delays: pd.DataFrame) -> None:
    given = delays.groupby("month")["ons_code"].count()
    assert given[given > 0].index[0] == pd.Timestamp("2015-07-01")
    assert given[given > 0].unique().tolist() == [151]
    derby = delays[delays["local_authority_code"] == "507"]
    assert derby["ons_code"].dropna().unique().tolist() == ["E06000015"]


def test_every_pinned_file_is_in_the_mirror(root: Path, mirror: Path) -> None:
    pins = read_manifest(root / "data_raw/manifest.csv")
    assert len(pins) == 164
    assert len(pins_of(pins, "dtoc")) == 84
    assert [pin.file for pin in pins if not (mirror / pin.file).is_file()] == []


def delays_workbook(path: Path, acute: object = 5, total: object = 12, other_total: object = 12) -> Path:
    """Two authorities; the first has ``acute`` and 7 non-acute days, the second none, printed as "-"."""
    book = xlwt.Workbook()
    for name, headers, first, england in (
        ("LA - by Type of Care", ["Acute", "Non-Acute", "Total"], [acute, 7, total], [5, 7, 12]),
        ("LA - by responsible org", ["NHS", "Social Care", "Both", "Total"], [4, 8, 0, other_total], [4, 8, 0, 12]),
    ):
        sheet = book.add_sheet(name)
        lines = {
            4: ["Period:", "April 2011"],
            13: ["SHA", "Code", "Name", *headers],
            14: ["-", "-", "England", *england],
            16: ["-", "716", "Barking & Dagenham", *first],
            17: ["-", "00KB", "Bedford", *["-"] * (len(headers) - 1), 0],
        }
        for row, cells in lines.items():
            for column, cell in enumerate(cells, start=1):
                sheet.write(row, column, cell)
    book.save(str(path))
    return path


def test_delays_refusals(tmp_path: Path) -> None:
    path, april = tmp_path / "April_11.xls", date(2011, 4, 1)
    assert read_dtoc(delays_workbook(path), april)["delayed_days_total"].tolist() == [12, 0]
    with pytest.raises(DataError, match=r"April_11.xls, sheet 'LA - by Type of Care', row 17, column 'Acute'"):
        read_dtoc(delays_workbook(path, acute="five"), april)
    with pytest.raises(DataError, match=r"row 15, column 'Acute'\n.*England 5, the sum of the rows 6"):
        read_dtoc(delays_workbook(path, acute=6), april)
    with pytest.raises(DataError, match=r"column 'Total'\n.*England 12, the sum of the rows 13"):
        read_dtoc(delays_workbook(path, total=13), april)
    with pytest.raises(DataError, match=r"by responsible org', row 15, column 'Total'"):
        read_dtoc(delays_workbook(path, other_total=11), april)
    with pytest.raises(DataError, match=r"Period: 'April 2011'[\s\S]*May 2011"):
        read_dtoc(delays_workbook(path), date(2011, 5, 1))


def sheet_of(path: Path, name: str, lines: list[list[object]]) -> Path:
    """A workbook of one sheet, whose first line is the header in row 1."""
    book = xlwt.Workbook()
    day = xlwt.easyxf(num_format_str="MMM-YY")
    sheet = book.add_sheet(name)
    for row, cells in enumerate(lines):
        for column, cell in enumerate(cells):
            sheet.write(row, column, cell, *([day] if isinstance(cell, date) else []))
    book.save(str(path))
    return path


def test_ae_refusals(tmp_path: Path) -> None:
    path = tmp_path / "ae.xls"
    may = [date(2017, 5, 1), 5, 3, 2, 10, 4, 1, 1, 6, 4, 10]
    june = [date(2017, 6, 1), *may[1:]]
    header = ["Period", *ae_measures]
    assert len(read_ae(sheet_of(path, "Activity", [header, may, june]))) == 2
    with pytest.raises(DataError, match=r"row 3, column 'Total Emergency Admissions'\n.*11, its parts sum to 10"):
        read_ae(sheet_of(path, "Activity", [header, may, [*june[:-1], 11]]))
    with pytest.raises(DataError, match=r"row 3, column 'Period'\n.*July 2017\n.*June 2017"):
        read_ae(sheet_of(path, "Activity", [header, may, [date(2017, 7, 1), *may[1:]]]))
    with pytest.raises(DataError, match=r"column 'Total Attendances'\n.*no such column"):
        read_ae(sheet_of(path, "Activity", [[*header[:4], "All", *header[5:]], may]))


def test_mid2015_refusals(tmp_path: Path) -> None:
    path = tmp_path / "population.xls"
    header = ["Area Codes ", "Area Names", "", "", "All Ages", *range(91)]
    england = ["E92000001", "ENGLAND", "", "", 182, *[2] * 91]
    halton = ["E38000068", "", "", "NHS Halton", 91, *[1] * 91]
    bury = ["E38000024", "", "", "NHS Bury", 91, *[1] * 91]
    people = read_mid2015(sheet_of(path, "Mid-2015 Persons", [header, england, halton, bury]))
    assert people.groupby("name")["persons"].sum().to_dict() == {"NHS Bury": 91, "NHS Halton": 91}
    with pytest.raises(DataError, match=r"row 2, column 'All Ages'\n.*England 182, the sum of the rows 91"):
        read_mid2015(sheet_of(path, "Mid-2015 Persons", [header, england, halton]))
    with pytest.raises(DataError, match=r"E38000068 again, already in row 3"):
        read_mid2015(sheet_of(path, "Mid-2015 Persons", [header, england, halton, halton]))
    with pytest.raises(DataError, match=r"91 persons in all, 90 over the ages"):
        swapped = [[*bury[:-1], 0], [*halton[:-1], 2]]
        read_mid2015(sheet_of(path, "Mid-2015 Persons", [header, england, *swapped]))
    with pytest.raises(DataError, match="ages 0 to 90"):
        read_mid2015(sheet_of(path, "Mid-2015 Persons", [header[:-1], england[:-1], halton[:-1]]))


def test_gp_list_refusals(tmp_path: Path) -> None:
    path = tmp_path / "lists.json"
    records = [
        {"date": day, "row_id": code, "row_name": f"NHS {code} CCG", "total_list_size": 1000}
        for day in ("2014-05-01", "2014-06-01")
        for code in ("00C", "00D")
    ]
    path.write_text(json.dumps(records))
    assert len(read_gp_lists(path)) == 4
    path.write_text(json.dumps(records[:3]))
    with pytest.raises(DataError, match="1 counts missing, the first of CCG 00D in June 2014"):
        read_gp_lists(path)
    path.write_text(json.dumps([*records[:3], records[3] | {"total_list_size": 0}]))
    with pytest.raises(DataError, match="column 'registered_patients'"):
        read_gp_lists(path)
    path.write_text("<html>")
    with pytest.raises(DataError, match="a JSON list of records"):
        read_gp_lists(path)


def test_csv_refusals(tmp_path: Path) -> None:
    path = tmp_path / "population.csv"
    path.write_text('\ufeffArea Codes ,Area Names,All Ages\nE38000056,NHS Eastern Cheshire CCG,"197,296"\n')
    assert read_mid2018(path)["persons"].tolist() == [197296]
    path.write_text("Area Codes,Area Names,All Ages\nE38000056,NHS Eastern Cheshire CCG,many\n")
    with pytest.raises(DataError, match=r"row 2, column 'All Ages'\n.*'many'"):
        read_mid2018(path)
    path.write_text("Area Codes,Area Names\nE38000056,NHS Eastern Cheshire CCG\n")
    with pytest.raises(DataError, match="column 'All Ages'"):
        read_mid2018(path)
