"""Disclosure control, attacked: what is suppressed follows neither from totals and parts, nor from an earlier edition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from adversary import FEWEST_VALUES, recovered
from made_up_counts import GROUPS, MONTHS, NETWORK_OF, Stays, released
from pydantic import ValidationError
from scipy.optimize import linprog

from analysis.core.errors import MachineError, StudyError, UsageError
from analysis.core.files import write_together
from analysis.protocol.schema import Records
from analysis.protocol.vocabulary import BASE, SMALLEST
from analysis.records.definitions import ADMISSIONS, BED_DAYS, BY_DAY, PARTS, SENSITIVE
from analysis.records.disclosure import shown, suppressed_list, suppressed_parts, suppressed_places, with_length_of_stay
from analysis.records.memory import Memory
from analysis.records.networks import REMAINDER, linked_places, with_remainder
from analysis.records.tables import BY_AGE, BY_COMMISSIONER, BY_NETWORK, Table
from analysis.stages.records import safe_ledger

SEEDS = [pytest.param(seed, marks=pytest.mark.slow if seed >= 4 else ()) for seed in range(50)]


@pytest.mark.cases(quick=0, push=2)
@pytest.mark.parametrize("seed", SEEDS)
def test_two_editions_together_recover_nothing(seed: int, tmp_path: Path) -> None:
    """All tables that can be asked for, of a made-up extract and of the same with a few stays more."""
    rng = np.random.default_rng(seed)
    stays = Stays.drawn(rng, rng.choice([4, 10, 20, 40]))
    check_two_editions(stays, stays.with_more(rng, 0.03), tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_larger_extracts_tell_no_more(seed: int, tmp_path: Path) -> None:
    """One in a hundred has networks that leave out too few of a commissioner: it is refused, and nothing is released. Where another band of ages
    has become the largest, patients of no known age move to it, and a count falls: that is said not to be protected."""
    rng = np.random.default_rng(seed)
    stays, share = Stays.drawn(rng, rng.choice([6, 30, 80, 160, 320])), rng.choice([0.001, 0.01, 0.1, 0.3])
    later = stays.with_more(rng, share)
    if not largest_bands(stays).equals(largest_bands(later)):
        later = stays
    try:
        check_two_editions(stays, later, tmp_path)
    except StudyError as refusal:
        assert "but for fewer than 8 admissions" in str(refusal)


def largest_bands(stays: Stays) -> pd.Series:
    known = stays.table[stays.table.age_band >= 0]
    return known.groupby(["unit", "age_band"]).size().unstack().idxmax(axis=1)


def check_two_editions(stays: Stays, later: Stays, folder: Path) -> None:
    editions = [released(stays, folder), released(later, folder)]
    for name, table in editions[0].items():
        assert not (table.suppressed & ~editions[1][name].suppressed).any(axis=None), "what was suppressed stays so"
        small = (table.exact > 0) & (table.exact < SMALLEST)
        assert table.suppressed[small].all(axis=None)
    assert recovered(editions, GROUPS) == []


@pytest.mark.cases(quick=0, push=2)
@pytest.mark.parametrize("seed", range(4))
def test_a_hidden_count_changes_nothing_that_is_released(seed: int, tmp_path: Path) -> None:
    """A commissioner has one to seven stays in every month: all its numbers may be any of these."""
    rng = np.random.default_rng(seed)
    others = Stays.drawn(rng, 12).table.query("unit != '01C'")
    month = pd.date_range("2015-04-05", periods=len(MONTHS), freq="30D").to_numpy("datetime64[D]").astype(int)
    few = {"unit": "01C", "code": "01C", "practice": "none", "network": None, "age_band": 0, "sensitive": True}
    seen = []
    for stays in range(1, SMALLEST):
        rows = [few | {"day": int(day), "nights": int(rng.integers(9))} for day in month for _ in range(stays)]
        seen.append(released(Stays(pd.concat([others, pd.DataFrame(rows)])), tmp_path / str(stays)))
    assert seen[0][BY_COMMISSIONER].suppressed.loc["01C"].all(axis=None)
    for tables in seen[1:]:
        for name, table in tables.items():
            pd.testing.assert_frame_equal(table.shown, seen[0][name].shown)


@pytest.mark.cases(quick=0, push=2)
@pytest.mark.parametrize("label", ["NA", "-1", "=cmd", "@x", "null", "012", "a, b"])
def test_memory_of_a_network_with_a_difficult_name(label: str, tmp_path: Path) -> None:
    """A month of a network with seven stays stays suppressed when it has eight, whatever the network is called, and under another name."""
    stays = [stays_of(("P4", 0, 0, number, 0), ("none", 0, 0, 40, 0), unit="01C") for number in (7, 8)]
    first, second = (Stays(of.table.assign(network=of.table.practice.map({"P4": label}))) for of in stays)
    before = released(first, tmp_path, network_of={"P4": label})[BY_NETWORK]
    assert before.suppressed.loc[label, MONTHS[0]].all()
    assert released(second, tmp_path / "new", network_of={"P4": label})[BY_NETWORK].shown.loc[(label, MONTHS[0]), ADMISSIONS] == 10
    for name in (label, "renamed"):
        renamed = Stays(second.table.assign(network=second.table.practice.map({"P4": name})))
        assert released(renamed, tmp_path, network_of={"P4": name})[BY_NETWORK].suppressed.loc[name, MONTHS[0]].all()


def test_two_small_counts_do_not_hide_each_other() -> None:
    """Of a known sum, 3 and 4 would leave 7 to be shared: a count that is not small is suppressed with them."""
    hidden = suppressed_list(pd.Series([3, 4, 50, 60]), SMALLEST)
    assert hidden.to_list() == [True, True, True, False]


def counts_of(admissions: list[int], **index: list[str]) -> pd.DataFrame:
    """A cell for each entry of the index, in its order: a third of its stays of no night, half of them sensitive, two nights a stay."""
    counts = pd.Series(admissions, pd.MultiIndex.from_product(index.values(), names=index))
    zero = counts // 3
    return pd.DataFrame({ADMISSIONS: counts, PARTS[0]: zero, PARTS[1]: counts - zero, BED_DAYS: 2 * counts, SENSITIVE: counts // 2})


def test_nothing_is_shown_of_admissions_that_are_suppressed() -> None:
    """A month of 60 is suppressed to hide one of 3: the stays of no night and the others would add up to it.

    In another month fewer stay a night, so that its parts, and not these, are suppressed to hide those of the 3.
    """
    counts = counts_of([3, 60, 500, 600], unit=["00A"], month=["a", "b", "c", "d"])
    counts.loc[("00A", "c"), list(PARTS)] = [470, 30]
    hidden = suppressed_places(counts, SMALLEST)
    assert hidden.loc["00A"].loc[["a", "b"]].all(axis=None) and not hidden.loc["00A", ADMISSIONS].loc[["c", "d"]].any()


def test_parts_of_a_total_are_shown_together_or_not_at_all() -> None:
    counts = counts_of([3, 40, 50, 60], unit=["00A"], age=["0", "65"], month=["a", "b"])
    totals = pd.DataFrame(False, counts_of([53, 100], unit=["00A"], month=["a", "b"]).index, counts.columns)
    hidden = suppressed_parts(counts, totals, SMALLEST)
    assert hidden.xs("a", level="month").all(axis=None) and not hidden.xs("b", level="month").any(axis=None)


def test_ages_that_an_earlier_edition_suppressed_stay_so(tmp_path: Path) -> None:
    """Seven patients of an age become eight, beside many others: the total is shown both times, the ages neither time."""
    for number in (7, 8):
        table = released(stays_of(("none", 65, 4, number - 4, 2), ("none", 0, 30, 30, 20)), tmp_path)
        assert not table[BY_COMMISSIONER].suppressed.loc[("00A", MONTHS[0]), ADMISSIONS]
        assert table[BY_AGE].suppressed[ADMISSIONS].loc["00A", :, MONTHS[0]].all()


def test_a_network_of_many_commissioners_is_part_of_each() -> None:
    """Each has less than a twentieth of it, and all but a few of its patients are in it; a stray patient links nobody."""
    units = [f"{number:02d}A" for number in range(40)]
    pairs = [(unit, network, stays) for unit in units for network, stays in (("North", 90), (None, 10))] + [("99Z", "North", 3), ("99Z", None, 500)]
    group = linked_places(pd.DataFrame(pairs, columns=["unit", "network", "admissions"]))
    assert set(group[units]) == {group["North"]} and group["99Z"] != group["North"]


@pytest.mark.slow
@pytest.mark.fault(
    "records counted by other age bands, networks or boundaries than in an earlier run",
    "refused: both editions together would tell counts that each of them suppresses",
)
def test_other_bands_or_networks_than_before(tmp_path: Path) -> None:
    stays = Stays.drawn(np.random.default_rng(1), 10)
    released(stays, tmp_path)
    with pytest.raises(UsageError, match="other age_bands than those of an earlier run"):
        released(stays, tmp_path, Records(by_age=True, age_bands=[0, 18, 65], networks="networks.csv"))
    with pytest.raises(UsageError, match="other networks"):
        released(stays, tmp_path, network_of=NETWORK_OF | {"P5": "North"})
    with pytest.raises(UsageError, match="other boundaries"):
        other = Memory(tmp_path, {"boundaries": "2018-04-01"})
        write_together(Memory(tmp_path, {"boundaries": "2017-04-01"}).contents({}))
        other.check()


def test_memory_outlasts_a_run_that_asks_for_less(tmp_path: Path) -> None:
    """A run of fewer months, and one without ages, leave what is remembered of the others."""
    memory = Memory(tmp_path, {})
    cells = pd.MultiIndex.from_product([["00A"], MONTHS], names=["unit", "month"])
    hidden = pd.DataFrame({ADMISSIONS: [True, False, True, False]}, cells)
    write_together(memory.contents({BY_COMMISSIONER: hidden}))
    write_together(memory.contents({BY_COMMISSIONER: ~hidden.iloc[1:2]}))
    write_together(memory.contents({BY_AGE: hidden.iloc[:0]}))
    remembered = memory.suppressed(BY_COMMISSIONER, ["unit", "month"])
    assert remembered is not None
    assert remembered[ADMISSIONS].reindex(cells, fill_value=False).to_list() == [True, True, True, False]


@pytest.mark.slow
@pytest.mark.parametrize("file", ["settings.json", "by_commissioner.parquet"])
def test_a_damaged_memory_stops_the_run(file: str, tmp_path: Path) -> None:
    stays = stays_of(("P4", 0, 0, 7, 0), unit="01C")
    released(stays, tmp_path)
    (tmp_path / file).write_bytes(b"[half")
    with pytest.raises(MachineError, match=f"{file}: what earlier runs suppressed cannot be read"):
        released(stays, tmp_path)


def test_the_ledger_remembers_too(tmp_path: Path) -> None:
    memory = Memory(tmp_path, {})
    ledger = {"no_date": 7, "runs_backwards": 40, "used": 60_000}
    table, hidden = safe_ledger(ledger, Records(), memory)
    assert table.rows.isna().to_list() == [True, True, False]
    write_together(memory.contents({"ledger.csv": hidden}))
    table, _ = safe_ledger(ledger | {"no_date": 8}, Records(), memory)
    assert table.rows.isna().to_list() == [True, True, False]


@pytest.mark.slow
@pytest.mark.fault(
    "a network of practices that is a commissioner but for a few patients", "refused, with its name and the commissioner's"
)
def test_a_network_that_is_nearly_a_commissioner(tmp_path: Path) -> None:
    stays = stays_of(("P4", 0, 40, 40, 0), ("none", 0, 1, 2, 0), unit="01C", others=0)
    with pytest.raises(StudyError, match="network West, all of commissioner 01C but for fewer than 8 admissions"):
        released(stays, tmp_path)


@pytest.mark.fault(
    "settings of the protocol that would show counts below 8, or round to less than 5", "refused: the standard may be tightened alone"
)
@pytest.mark.parametrize("settings", [{"smallest_count": 1}, {"smallest_count": 7}, {"round_to": 1}, {"round_to": 7}, {"round_to": 20}])
def test_settings_that_switch_protection_off(settings: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Records(**settings)


def test_stricter_settings(tmp_path: Path) -> None:
    stays = stays_of(("P4", 0, 12, 24, 0), unit="01C")
    table = released(stays, tmp_path, Records(smallest_count=20, round_to=10))[BY_COMMISSIONER]
    assert table.shown.loc[("01C", MONTHS[0]), ADMISSIONS] == 40
    assert table.suppressed.loc[("01C", MONTHS[0]), [*PARTS, BED_DAYS]].all()


def test_nights_of_few_people_are_not_shown(tmp_path: Path) -> None:
    """Neither where few stay, nor by day where somebody stays on after the month: not in any month of that place."""
    few, many = stays_of(("P4", 0, 30, 3, 0), unit="01C").table, stays_of(("P3", 0, 0, 30, 0), unit="00B").table
    both = pd.concat([few.assign(nights=few.nights * 20), many])
    table = released(Stays(both), tmp_path / "two")[BY_COMMISSIONER].shown
    month = MONTHS[0]
    assert table.loc[("01C", month), ADMISSIONS] == 35 and pd.isna(table.loc[("01C", month), BED_DAYS])
    assert table[BY_DAY].loc["01C"].isna().all()
    table = released(Stays(many), tmp_path / "one")[BY_COMMISSIONER].shown
    assert table.loc[("00B", month), [BED_DAYS, BY_DAY]].to_list() == [30, 30]
    long = pd.concat([many, many.iloc[:1].assign(nights=60)])  # into months in which nobody is admitted
    table = released(Stays(long), tmp_path / "long")[BY_COMMISSIONER].shown
    assert table.loc[("00B", month), BED_DAYS] == 90 and table[BY_DAY].loc["00B"].isna().all()
    assert table[BED_DAYS].loc["00B"].iloc[2:].eq(0).all()


@pytest.mark.cases(quick=0, push=7)
@pytest.mark.parametrize(
    ("zero_day", "longer", "each", "seen"),
    [(3, 7, 5, False), (3, 12, 5, False), (3, 13, 5, True), (7, 11, 1, False), (6, 12, 1, False), (7, 16, 1, False), (7, 10, 1, False), (1, 20, 2, True)],
)
def test_nights_leave_open_how_many_did_not_stay(zero_day: int, longer: int, each: int, seen: bool, tmp_path: Path) -> None:
    stays = stays_of(("none", 0, zero_day, longer, 0), unit="01C").table
    tables = released(Stays(stays.assign(nights=stays.nights * each)), tmp_path, network_of={"P1": "North"})
    assert pd.notna(tables[BY_COMMISSIONER].shown.loc[("01C", MONTHS[0]), BED_DAYS]) == seen
    assert recovered([tables], {0: (["01C"], [])}) == []


@pytest.mark.slow
def test_patients_of_no_known_age_are_in_the_largest_band(tmp_path: Path) -> None:
    stays = stays_of(("P4", 0, 12, 12, 0), ("P4", 65, 13, 13, 0), ("P4", -1, 1, 1, 0), ("none", 0, 9, 9, 0), unit="01C")
    by_age = released(stays, tmp_path)[BY_AGE]
    assert by_age.exact.loc[("01C", [0, 65], MONTHS[0]), ADMISSIONS].to_list() == [44, 26]
    assert by_age.shown.loc[("01C", [0, 65], MONTHS[0]), ADMISSIONS].to_list() == [45, 25]


@pytest.mark.cases(quick=0, push=3)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("P4", 0, 0, 9, 0)], [("P4", 0, 1, 9, 0)]), ([("P4", 0, 0, 20, 0)], [("P4", 0, 1, 21, 0)]),
        ([("P4", 0, 0, 8, 0), ("P4", 65, 0, 8, 0)], [("P4", 0, 0, 8, 0), ("P4", 65, 1, 8, 0)]), ([("P4", 65, 0, 9, 0)], [("P4", 65, 0, 9, 0), ("P4", 0, 0, 1, 0)]),
        ([("P4", 0, 0, 20, 0)], [("P4", 0, 0, 20, 0), ("none", 0, 0, 1, 0)]),
    ],
)  # fmt: skip
def test_a_zero_that_becomes_small_in_the_next_edition(
    before: list[tuple[str, int, int, int, int]], after: list[tuple[str, int, int, int, int]], tmp_path: Path
) -> None:
    """The rounded total does not move, so that it grew by four at most."""
    editions = [released(stays_of(*cells, unit="01C"), tmp_path) for cells in (before, after)]
    assert recovered(editions, GROUPS) == []
    for name, table in editions[0].items():
        assert not (table.shown.eq(0) & editions[1][name].suppressed).drop(columns=BY_DAY).any(axis=None)


def stays_of(*cells: tuple[str, int, int, int, int], unit: str = "00A", others: int = 30) -> Stays:
    """Stays of one day of a commissioner: practice, age band, how many end that day and how many later, and how many are sensitive.

    In the month after it are as many ``others`` of each kind of no network, or there would be nothing beside the networks.
    """
    rows = [
        (unit, practice, age, 16_530, int(number >= zero), number < sensitive)
        for practice, age, zero, longer, sensitive in cells
        for number in range(zero + longer)
    ]
    rows += [(unit, "none", age, 16_570, nights, nights == 1) for age in (0, 65) for nights in (0, 1) for _ in range(others)]
    table = pd.DataFrame(rows, columns=["unit", "practice", "age_band", "day", "nights", "sensitive"])
    return Stays(table.assign(code=unit, network=table.practice.map(NETWORK_OF)))


def small_alone(counts: pd.DataFrame, totals: pd.DataFrame, smallest: int, earlier: object = None) -> pd.DataFrame:
    """Suppression of small cells, each for itself."""
    return (counts > 0) & (counts < smallest)


def large_remainder(by_network: pd.DataFrame, by_unit: pd.DataFrame, group: pd.Series, file: str) -> pd.DataFrame:
    """Networks by group, as if what is left of their commissioners were never small."""
    parts = with_remainder(by_network, by_unit, group, file)
    left = parts.index.get_level_values("network") == REMAINDER
    parts.loc[left, :] = 1000
    parts.loc[left, ADMISSIONS] = 2000
    return parts


def shown_alone(tables: dict[str, Table]) -> dict[str, Table]:
    """Tables in which stays of a night or more are shown where they are many, though those without a night are suppressed."""
    for table in tables.values():
        many = table.exact[PARTS[1]] >= SMALLEST
        table.shown[PARTS[1]] = shown(table.exact[PARTS[1]], ~many, BASE)
    return tables


def one_side_alone(counts: pd.DataFrame, part: str, smallest: int) -> pd.Series:
    return (counts[ADMISSIONS] > 0) & (counts[part] < smallest)


# Extracts in which rounding leaves next to nothing open – totals at the greatest counts that are shown so, and their parts at the least – and
# what is taken away.
PROTECTIONS = {
    "bands are shown together or not at all": (
        stays_of(("none", 0, 12, 12, 0), ("none", 65, 1, 1, 0)), "analysis.records.tables.suppressed_parts", small_alone,
    ),
    "the admissions that are not sensitive are a part": (
        stays_of(("none", 0, 4, 4, 7), ("none", 18, 4, 4, 8), ("none", 65, 4, 9, 13)), "analysis.records.disclosure._one_sided", one_side_alone,
    ),
    "two outcomes that add up are suppressed together": (
        stays_of(("none", 0, 1, 12, 0), ("none", 65, 2, 11, 0)), "", shown_alone,
    ),
    "what is left of a commissioner beside its networks is a part": (
        stays_of(("P1", 0, 8, 8, 0), ("P2", 0, 8, 8, 0), ("none", 0, 1, 1, 0)), "analysis.records.tables.with_remainder", large_remainder,
    ),
}  # fmt: skip


@pytest.mark.cases(quick=2)
@pytest.mark.parametrize("protection", PROTECTIONS)
def test_no_protection_is_for_nothing(protection: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stays, name, replacement = PROTECTIONS[protection]
    networks = {f"P{number}": f"network {number}" for number in range(1, 6)}
    stays = Stays(stays.table.assign(network=stays.table.practice.map(networks)))
    there = [networks[practice] for practice in stays.table.practice.unique() if practice in networks]
    rules = Records(by_age=True, age_bands=sorted({0, *stays.table.age_band}), networks="networks.csv")

    def attack(folder: Path) -> list[str]:
        tables = released(stays, folder, rules, networks)
        weaker = replacement(tables) if not name and folder.name == "without" else tables
        return recovered([weaker], {0: (["00A"], there)})

    assert attack(tmp_path / "with") == []
    if name:
        monkeypatch.setattr(name, replacement)
    assert attack(tmp_path / "without")


def attack(table: pd.Series, counts: pd.Series, at: tuple[str, ...]) -> tuple[float, float]:
    """The least and the most that a suppressed cell can be, for one who knows every true total over each label as well."""
    bounds = [(0.0, None) if np.isnan(value) else (0.0, 0.0) if value == 0 else (value - 2, value + 2) for value in table]
    places = pd.Series(np.arange(len(table)), table.index)
    lines, totals = [], []
    for level in range(table.index.nlevels):
        for _, members in places.groupby(table.index.droplevel(level)):
            lines.append(np.isin(np.arange(len(table)), members))
            totals.append(counts.iloc[members].sum())
    goal = (table.index == at).astype(float)
    found = [
        linprog(sign * goal, A_eq=np.array(lines, float), b_eq=totals, bounds=bounds, method="highs").fun for sign in (1, -1)
    ]  # fmt: skip
    return found[0], -found[1]


@pytest.mark.cases(quick=1)
@pytest.mark.parametrize("seed", range(8))
def test_true_totals_from_elsewhere_recover_no_suppressed_cell(seed: int) -> None:
    """Published totals of England by month, and of a commissioner over the window, are exact."""
    rng = np.random.default_rng(seed)
    cells = pd.MultiIndex.from_product([[f"{n:02d}A" for n in range(8)], range(6)], names=["unit", "month"])
    admissions = pd.Series(rng.poisson(np.repeat(rng.choice([6, 12, 30], 8), 6)), cells)
    counts = pd.DataFrame({ADMISSIONS: admissions, PARTS[0]: 0, PARTS[1]: admissions, BED_DAYS: admissions, SENSITIVE: 0})
    table = shown(counts, suppressed_places(counts, SMALLEST), BASE)[ADMISSIONS]
    for at in admissions.index[(admissions > 0) & (admissions < SMALLEST)]:
        least, most = attack(table, admissions, at)
        assert np.isnan(table[at]) and most - least + 1 >= FEWEST_VALUES, (at, least, most)


def test_that_attack_finds_a_lone_cell() -> None:
    cells = pd.MultiIndex.from_product([["00A", "00B"], [1, 2]], names=["unit", "month"])
    counts = pd.Series([100, 0, 3, 100], cells)
    least, most = attack(counts.astype(float).mask(counts == 3), counts, ("00B", 1))
    assert most - least + 1 < FEWEST_VALUES or least > 0


def test_counts_that_are_shown_are_rounded_and_none_is_none() -> None:
    counts = pd.Series([0, 8, 12, 13, 500, 22])
    assert shown(counts, counts < 0, BASE).to_list() == [0, 10, 10, 15, 500, 20]


def test_a_list_of_counts() -> None:
    counts = pd.Series({"a": 3, "b": 1_002, "c": 0, "d": 40, "e": 77})
    assert suppressed_list(counts, SMALLEST).to_list() == [True, False, False, True, False]


def test_length_of_stay_is_made_from_what_is_shown() -> None:
    counts = pd.DataFrame({"emergency_admissions": [20.0, np.nan, 0], "emergency_bed_days": [105.0, np.nan, 0]})
    assert with_length_of_stay(counts).mean_length_of_stay.to_list()[0] == 5.25
    assert with_length_of_stay(counts).mean_length_of_stay.isna().to_list() == [False, True, True]
