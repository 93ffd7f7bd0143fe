"""One thing wrong in the inputs: the command says where, what, what instead and what to do, and keeps earlier outputs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from scratch_project import Project, Refusal, Warm, fingerprint, real_return
from sources.mar_workbook import ENGLAND_ROW, FIRST_ROW, HEADER_ROW, NON_ELECTIVE, MarWorkbook

sys.path.append(str(Path(__file__).parents[1] / "sources"))
from test_workbook_refusals import ERROR_PAGE, encrypted_package, with_password

pytestmark = pytest.mark.slow  # quick tests try the same faults on the readers (tests/sources)

MONTH = "2016-02"
GP_REFERRALS = "GP Referrals Made (All specialties)"
PROTOCOL, MANIFEST, COHORTS = "analysis/protocol.toml", "data_raw/manifest.csv", "data_raw/vanguard_ccgs.csv"
CUMBRIA = "01H"  # any CCG of the month

Spoil = Callable[[Project, Path], None]


@dataclass(frozen=True)
class Case:
    """What is spoilt, and words that the parts of the message must have."""

    spoil: Spoil
    place: tuple[str, ...]
    found: str
    expected: str
    to_do: str
    kind: str = "DataError"


def file_of(project: Project) -> str:
    return project.pin_of("mar", MONTH)["file"]


def content(make: Callable[[bytes], bytes]) -> Spoil:
    """Put other bytes in the place of a month's return."""

    def spoil(project: Project, _: Path) -> None:
        pin = project.pin_of("mar", MONTH)
        project.replace(pin, make((project.files / pin["file"]).read_bytes()))

    return spoil


def written_by(write: Callable[[Path], Path]) -> Spoil:
    return lambda project, folder: content(lambda _: write(folder / "book.xls").read_bytes())(project, folder)


def returns(change: Callable[[MarWorkbook], object]) -> Spoil:
    """Change something in the real return, and write it again."""

    def spoil(project: Project, folder: Path) -> None:
        pin = project.pin_of("mar", MONTH)
        book = real_return(project.files / pin["file"])
        change(book)
        project.replace(pin, book.write(folder / "return.xls").read_bytes())

    return spoil


def at(book: MarWorkbook, code: str) -> int:
    """Position of a commissioner in the return."""
    return [row[4] for row in book.rows].index(code)


def cell(label: str, value: object, row: int = 2) -> Spoil:
    return returns(lambda book: book.rows[row].__setitem__(book.column(label), value))


def header(old: str, new: str) -> Spoil:
    return returns(lambda book: book.header.__setitem__(book.column(old), new))


def drop_measure(book: MarWorkbook) -> None:
    position = book.column(NON_ELECTIVE)
    for row in (book.header, *book.rows):
        del row[position]
    del book.england[position - 6]


def add_measure(book: MarWorkbook) -> None:
    book.header.append("Emergency Admissions")
    book.england.append(len(book.rows))
    for row in book.rows:
        row.append(1)


def drop_commissioner(book: MarWorkbook) -> None:
    """Lose a CCG and take its counts off England's, so that only the list of commissioners shows it."""
    lost = book.rows.pop(at(book, CUMBRIA))
    book.england = [total - count for total, count in zip(book.england, lost[6:], strict=True)]  # type: ignore[operator]


def edit(name: str, old: str, new: str) -> Spoil:
    return lambda project, _: project.edit(name, old, new)


def write(name: str, text: bytes) -> Spoil:
    return lambda project, _: (project.root / name).write_bytes(text) and None


def cohort(ccg: str, model: str, coverage: str = "whole", share: str = "1", site: str = "Somewhere") -> Spoil:
    return lambda project, _: project.append(COHORTS, f"{site},{model},2015-03,{ccg},A CCG,{coverage},{share},,,,")


def no_pin(project: Project, _: Path) -> None:
    project.write_pins([pin for pin in project.pins() if (pin["source"], pin["period"]) != ("mar", MONTH)])


def no_file(project: Project, _: Path) -> None:
    (project.files / file_of(project)).unlink()


def wrong_pin(project: Project, _: Path) -> None:
    pin = project.pin_of("mar", MONTH)
    project.replace(pin, project.files.joinpath(pin["file"]).read_bytes() + b"\0", pinned=False)


def another_month(project: Project, _: Path) -> None:
    other = project.pin_of("mar", "2016-03")
    project.replace(project.pin_of("mar", MONTH), (project.files / other["file"]).read_bytes())


def reference(source: str, name: str, make: Callable[[bytes], bytes]) -> Spoil:
    def spoil(project: Project, _: Path) -> None:
        pin = project.pin_of(source, name=name)
        project.replace(pin, make((project.files / pin["file"]).read_bytes()))

    return spoil


COMMISSIONER = "sheet 'Commissioner'"
HEADERS = f"row {HEADER_ROW}"
THIRD = f"row {FIRST_ROW + 2}"

# Whole files.
FILES = {
    "a web page saved as .xls": Case(content(lambda _: ERROR_PAGE), ("{file}",), "a web page", "workbook", "fetch"),
    "an empty file": Case(content(lambda _: b""), ("{file}",), "an empty file", "workbook", "fetch"),
    "cut short": Case(content(lambda data: data[: len(data) // 2]), ("{file}",), "cut short", "whole", "fetch"),
    "its last sector lost": Case(content(lambda data: data[:-512]), ("{file}",), "cut short", "whole", "fetch"),
    "a password": Case(written_by(with_password), ("{file}",), "password", "open workbook", "without the password"),
    "a password, as .xlsx": Case(written_by(encrypted_package), ("{file}",), "password", "open", "without"),
    "another month's file": Case(
        another_month, ("{file}", COMMISSIONER, "row 5", "'Period:'"), "'March 2016'", "February 2016", "manifest"
    ),
    "not the pinned file": Case(wrong_pin, ("{file}",), "SHA-256", "SHA-256 [0-9a-f]{64}.*manifest.csv", "re-issue"),
    "a month without a pin": Case(
        no_pin, ("manifest.csv", "'period'"), "no .* February 2016", "every month", "add the file", "StudyError"
    ),
    "a month without its file": Case(
        no_file, ("{file}",), r"1 of the 6\d files missing: {file} \(February 2016\).*cannot be reached",
        "published", "put it into .*data_raw.*DATA=snapshot",
    ),
}  # fmt: skip
REFERENCE = {
    "a list of patients that is a web page": Case(
        reference("gp_lists", "", lambda _: ERROR_PAGE), ("openprescribing",), ".", "JSON", "fetch"
    ),
    "population cut short": Case(
        reference("ons", "SAPE18DT5", lambda data: data[:99_999]), ("SAPE18DT5",), "cut short", "whole", "fetch"
    ),
    "a lookup with a column renamed": Case(
        reference("lookup", "ccg16", lambda data: data.replace(b"CCG16CDH", b"CCG17CDH", 1)),
        ("ccg16", "row 1", "'CCG16CDH'"), "no such column", "CCG16CDH", "fetch",
    ),
}  # fmt: skip

# Cells of a real return.
CELLS = {
    "no sheet Commissioner": Case(
        returns(lambda book: setattr(book, "sheet", "Provider")), ("{file}", COMMISSIONER), "'Provider'", "Comm", "right"
    ),
    "no header": Case(header("Org Code", "Code"), ("{file}", COMMISSIONER), "'Org Code'", "header row", "layout"),
    "a measure renamed": Case(
        header(NON_ELECTIVE, "Emergencies"), ("{file}", COMMISSIONER, HEADERS, "'Emergencies'"),
        "'Emergencies' .*column O", "missing 'Total Non-elective", "MEASURES",
    ),
    "a measure missing": Case(
        returns(drop_measure), ("{file}", COMMISSIONER, HEADERS, "'Total Non-elective"), "no such column",
        "Non-elective", "fetch",
    ),
    "one measure too many": Case(
        returns(add_measure), ("{file}", COMMISSIONER, HEADERS, "'Emergency Admissions'"),
        "column V", "no further column", "MEASURES",
    ),
    "text in a count": Case(
        cell(GP_REFERRALS, "n/a"), ("{file}", COMMISSIONER, THIRD, f"'{GP_REFERRALS}'".replace("(", r"\(").replace(")", r"\)")),
        "'n/a', .*column P", "a number", "fetch",
    ),
    "an empty count": Case(cell(NON_ELECTIVE, ""), ("{file}", COMMISSIONER, THIRD, "Non-el"), "empty", "a num", "fetch"),
    "a negative count": Case(cell(NON_ELECTIVE, -7), ("{file}", COMMISSIONER, THIRD, "Non-el"), "-7", "zero", "fetch"),
    "an absurd count": Case(
        cell(NON_ELECTIVE, 9e7), ("{file}", COMMISSIONER, THIRD, "Non-el"), "90,000,000", "a number", "fetch"
    ),
    "not England's sum": Case(
        returns(lambda book: book.england.__setitem__(7, book.england[7] - 3)),  # type: ignore[operator]
        ("{file}", COMMISSIONER, f"row {ENGLAND_ROW}", "Non-el"), r"England [\d,]+, the sum .*\+3", "sum", "fetch",
    ),
    "an organisation twice": Case(
        returns(lambda book: book.rows.append(list(book.rows[4]))), ("{file}", COMMISSIONER, r"row \d{3}", "'F'"),
        f"again, already in row {FIRST_ROW + 4}", "one row", "which",
    ),
    "an unknown organisation": Case(
        cell("Org Code", "77X"), ("{file}", COMMISSIONER, THIRD, "'Org Code'"), "77X", "CCG", "CCG changes"
    ),
    "a CCG gone": Case(returns(drop_commissioner), ("{file}", COMMISSIONER), CUMBRIA, "commissioners|count", "CCG changes|changes"),
}  # fmt: skip

# The study's own tables.
STUDY = {
    "a cohort of an unknown CCG": Case(
        cohort("77X", "MCP"), (COHORTS, r"row \d+", "'ccg_code'"), "77X", "the code of a CCG", "[Cc]orrect the code", "StudyError"
    ),
    "a CCG wholly in two models": Case(
        cohort("02T", "PACS"), (COHORTS, r"row \d+", "'model'"), "02T .*MCP and PACS", "at most one", "part", "StudyError"
    ),
    "a share that contradicts the coverage": Case(
        cohort("01C", "UEC", "part", "1"), (COHORTS, r"row \d+", "'covered_share'"), "'1'", "between 0 and 1",
        "[Cc]orrect", "StudyError",
    ),
    "no cohort table": Case(
        lambda project, _: (project.root / COHORTS).write_bytes(b"") and None, (COHORTS,), ".", "CSV|table",
        "[Cc]orrect|[Rr]estore",
    ),
    "a key that the protocol does not know": Case(
        edit(PROTOCOL, "[study]", "[study]\nauthor = 'me'"), (PROTOCOL, "'study.author'"), "key", "keys", "[Rr]emove|remove",
        "StudyError",
    ),
    "a key misspelt": Case(
        edit(PROTOCOL, "\nseed =", "\nsead ="), (PROTOCOL, "'study.sead'"), "key", "keys", "remove", "StudyError"
    ),
    "a date that does not exist": Case(
        edit(PROTOCOL, "boundaries = 2017-04-01", "boundaries = 2017-02-30"), (PROTOCOL,), "[Ii]nvalid date.* line 13",
        ".", "line", "StudyError",
    ),
    "a month that does not exist": Case(
        edit(PROTOCOL, 'end = "2018-03"\nprog', 'end = "2018-13"\nprog'), (PROTOCOL, "'study.end'"), "2018-13", "YYYY-MM",
        "[Cc]orrect", "StudyError",
    ),
    "no month of the programme": Case(
        edit(PROTOCOL, 'programme_start = "2015-04"', 'programme_start = "2018-04"'), (PROTOCOL, "'study.start'"), ".",
        "follow one another", "[Cc]orrect", "StudyError",
    ),
    "a protocol that is not TOML": Case(
        write(PROTOCOL, b"{'study': 1}\n"), (PROTOCOL,), "line 1", "TOML", "line", "StudyError"
    ),
    "a protocol that is not text": Case(
        write(PROTOCOL, b"\xff\xfe\x00"), (PROTOCOL,), ".", "UTF-8", ".", "StudyError"
    ),
    "an outcome of an unknown measure": Case(
        edit(PROTOCOL, 'measure = "gp_referrals"', 'measure = "gp_letters"'), (PROTOCOL, "outcomes.*measure"), "gp_letters",
        "gp_referrals", ".", "StudyError",
    ),
    "a manifest without its column": Case(
        edit(MANIFEST, "file,url,sha256", "file,url,md5"), ("manifest.csv", "row 1"), "no column sha256", "sha256", "restore"
    ),
    "a manifest with a bad hash": Case(
        lambda project, _: project.write_pins([pin | {"sha256": pin["sha256"].upper()} for pin in project.pins()]),
        ("manifest.csv", "row 2", "'sha256'"), ".", "64 hexadecimal digits", "manifest",
    ),
}  # fmt: skip

CASES = FILES | REFERENCE | CELLS | STUDY
ON_EVERY_PUSH = (
    "cut short", "another month's file", "a month without its file", "a lookup with a column renamed", "text in a count",
    "not England's sum", "a cohort of an unknown CCG", "a key misspelt", "a manifest with a bad hash",
)  # fmt: skip


@pytest.mark.cases(quick=0, push=len(ON_EVERY_PUSH))
@pytest.mark.parametrize("name", sorted(CASES, key=lambda name: name not in ON_EVERY_PUSH))
def test_the_command_refuses(name: str, project: Project, warm: Warm, tmp_path: Path) -> None:
    case = CASES[name]
    file = re.escape(file_of(project))
    if name not in REFERENCE:
        project.keep_only_returns()
    case.spoil(project, tmp_path)
    run = warm.run("data")
    assert run.code == 1, run.err or run.out
    message = Refusal.of(run)
    assert message.kind == case.kind
    for part in case.place:
        assert re.search(part.replace("{file}", file), message.place), message.place
    assert re.search(case.found.replace("{file}", file), message.found), message.found
    assert re.search(case.expected, message.expected), message.expected
    assert re.search(case.to_do, message.to_do), message.to_do
    assert max(map(len, run.lines)) < 800, "nobody reads so long a line"


def test_a_whole_process_says_the_same(project: Project, warm: Warm, tmp_path: Path) -> None:
    CELLS["text in a count"].spoil(project, tmp_path)
    run = project.run("data")
    assert run.code == 1
    assert run == warm.run("data")


@pytest.mark.nightly
def test_the_return_written_again_unspoilt_is_accepted(project: Project, warm: Warm, tmp_path: Path) -> None:
    """So each refusal above is of the one thing that was changed."""
    returns(lambda book: None)(project, tmp_path)
    run = warm.run("data", BUILD=str(tmp_path / "again"))
    assert run.code == 0, run.err
    panel = "data/panel.parquet"
    assert fingerprint(tmp_path / "again")[panel] == fingerprint(project.root / "build")[panel]


@pytest.mark.nightly
def test_a_ccg_in_a_model_and_in_another_programme_is_legal(project: Project, warm: Warm, tmp_path: Path) -> None:
    cohort("02T", "UEC", site="An urgent care network")(project, tmp_path)
    run = warm.run("data", BUILD=str(tmp_path / "build"))
    assert run.code == 0, run.err
