"""A site's brief follows the site's own estimates, and says what blurs them."""

from __future__ import annotations

from dataclasses import replace

import nbformat
import pytest
from worlds import MINUS, SITES, Number

from analysis.core.untrusted import slug
from analysis.publish.notebook import ReportError, read_qmd, with_parameters
from analysis.reporting.series.words import known_breaks
from analysis.reporting.sites import site_words as brief
from analysis.reporting.sites.places_words import sites
from analysis.reporting.sites.site_tables import briefs_table, site_table

CLEAR = Number(-0.06, 0.02)


@pytest.fixture()
def name(first):
    return f"{SITES[0]} {first}"


def test_names_of_files_are_plain_and_each_sites_own(repository, protocol):
    assert slug("Better Care Together (Morecambe Bay)") == "better-care-together-morecambe-bay"
    every = [site for group in protocol.model_ids for site in [f"{place} {group}" for place in SITES]]
    assert len({slug(site) for site in every}) == len(every)


@pytest.mark.slow
def test_flipping_a_sites_estimate_flips_its_sentence(world, told, outcome, name):
    fall = brief.finding_sentence(told(world.with_numbers({("site", name): CLEAR})), outcome, name)
    rise = brief.finding_sentence(
        told(world.with_numbers({("site", name): Number(-CLEAR.value, CLEAR.half)})), outcome, name
    )
    assert fall.startswith("**A clear fall.**") and "below what one would expect" in fall
    assert rise.startswith("**A clear rise.**") and "above what one would expect" in rise


@pytest.mark.slow
def test_widening_the_interval_makes_it_inconclusive(world, told, outcome, name):
    wide = told(world.with_numbers({("site", name): Number(CLEAR.value, 0.6)}))
    assert brief.finding_sentence(wide, outcome, name).startswith("**Inconclusive.**")


@pytest.mark.slow
def test_another_sites_estimate_leaves_the_sentence_alone(world, told, outcome, first, name):
    moved = told(world.with_numbers({("site", f"{SITES[1]} {first}"): CLEAR}))
    assert brief.finding_sentence(moved, outcome, name) == brief.finding_sentence(told(world), outcome, name)


@pytest.mark.slow
def test_a_site_without_an_estimate_gives_its_reason(world, told, outcome, name):
    lost = told(replace(world, lost={name: "no commissioner of its own"}))
    assert brief.finding_sentence(lost, outcome, name) == "No estimate could be made: no commissioner of its own."
    table = briefs_table(lost, outcome, "sites")
    assert table.cells.set_index("Site").loc[f"[{name}](sites/{slug(name)}.html)", "Change, %"] == "–"


def test_a_part_covered_site_is_said_to_be_diluted(world, told, outcome, first, name):
    half = f"{SITES[-1]} {first}"
    results = told(world)
    assert "It covers 50% of them, so that an effect there is diluted." in brief.where_sentence(results, outcome, half)
    assert "It covers all of them." in brief.where_sentence(results, outcome, name)
    texts = [" ".join(brief.cautions(results, outcome, site)) for site in (half, name)]
    assert "Only a part" in texts[0] and "Nine of its months are masked" in texts[0]
    assert "Only a part" not in texts[1] and "masked" not in texts[1]


@pytest.mark.slow
def test_a_unit_that_is_the_site_itself_is_not_named_twice(world, told, outcome, name):
    results = told(
        world.with_numbers({("site", name): Number(-0.033, 0.051)})
    )  # its own copy, since its table is changed
    assert f"in the area of {SITES[0]}" in brief.where_sentence(results, outcome, name)
    results.__dict__["sites"] = results.sites.assign(unit_names=results.sites.site)
    assert "in the area of" not in brief.where_sentence(results, outcome, name)


def test_known_changes_are_those_of_the_sites_commissioners(world, told, outcome, name):
    """By code, so that the snapshot, which has no commissioners, knows them too."""
    results = told(world)
    found = known_breaks(results, outcome, "Northumberland Accountable Care Organisation")
    assert [f"{known.month:%Y-%m}" for known in found] == ["2014-04", "2015-06"]
    assert known_breaks(results, outcome, name) == []


@pytest.mark.slow
def test_the_small_site_is_warned_of(world, told, outcome, name):
    small = told(replace(world, small=(name,)))
    assert "too narrow" in " ".join(brief.cautions(small, outcome, name))
    assert "too narrow" not in " ".join(brief.cautions(told(world), outcome, name))


def test_the_table_of_designs_has_the_sites_own_numbers(world, told, outcome, name):
    rows = site_table(told(world.with_numbers({("site", name): CLEAR})), outcome, name).cells.set_index("Design")
    assert rows.loc["Difference-in-differences", "Change, %"].startswith(f"{MINUS}5.8")


def test_every_site_has_a_line_and_its_links(world, told, outcome):
    results = told(world)
    cells = briefs_table(results, outcome, "sites").cells
    assert len(cells) == len(sites(results, outcome))
    for site, (_, row) in zip(sites(results, outcome).site, cells.iterrows(), strict=True):
        assert row["Site"] == f"[{site}](sites/{slug(site)}.html)"
        assert row["Files"].startswith(f"[PDF](sites/{slug(site)}.pdf)")


# Parameters


def test_parameters_are_set_after_the_cell_that_names_them(repository):
    path = repository / "reports" / "sites" / "brief.qmd"
    notebook = with_parameters(read_qmd(path), {"site": "O'Neill's"}, path)
    cell = next(cell for cell in notebook.cells if "site = \"O'Neill's\"" in cell.source)
    assert cell.source.index('site = ""') < cell.source.index("O'Neill")


def test_a_document_without_a_cell_for_parameters_is_refused(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")])
    assert with_parameters(notebook, {}, tmp_path / "a.qmd") is notebook
    with pytest.raises(ReportError, match="no cell for parameters"):
        with_parameters(notebook, {"site": "A"}, tmp_path / "a.qmd")
