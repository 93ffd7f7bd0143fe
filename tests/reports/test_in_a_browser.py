"""The pages in a real browser: nothing fetched, nothing to fault, everything by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from built import BRIEFS, FLOATS, PAGES, Built

pytestmark = pytest.mark.slow
WIDTHS = (1280, 390, 320)  # a desk, a phone, and 1280 at 400% zoom


@pytest.fixture()
def page(browser) -> Iterator:
    """A page that cannot reach the network; it must have asked for nothing and complained of nothing."""
    requests: list[str] = []
    problems: list[str] = []
    context = browser.new_context(offline=True)
    opened = context.new_page()
    opened.on("request", lambda request: requests.append(request.url))
    opened.on(
        "console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None
    )
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    context.close()
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def show(page, built: Built, name: str, width: int = 1280) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((built.work.reports / f"{name}.html").as_uri())


def focused(page) -> str:
    """What the keyboard would act on: the text of the focused element."""
    return page.evaluate("document.activeElement.textContent.trim()")


def tab_to(page, text: str, most: int = 60) -> None:
    """Press Tab until the element with this text has the focus, which must be seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if focused(page) == text:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"the focus on {text} cannot be seen"
            return
    raise AssertionError(f"no way to {text} by keyboard")


# A push asks axe-core about each kind of page, about a short one at every width; the other briefs differ from the first in their words.
ASKED = {name: WIDTHS if name in ("index", BRIEFS[0]) else WIDTHS[1:2] for name in [*FLOATS, BRIEFS[0]]}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_to_fetch_and_nothing_to_fault(built, page, axe, name):
    """No request, no error, no sideways scrolling, and nothing that axe-core finds, on a desk and on a phone."""
    look(built, page, axe, name, ASKED.get(name, WIDTHS[1:2]), faults=name in ASKED)


@pytest.mark.nightly
@pytest.mark.parametrize("name", PAGES)
def test_nor_on_any_page_at_any_width(built, page, axe, name):
    look(built, page, axe, name, WIDTHS)


def look(built: Built, page, axe: str, name: str, widths: tuple[int, ...], faults: bool = True) -> None:
    page.add_init_script(axe)
    for width in widths:
        show(page, built, name, width)
        found = page.evaluate("async () => (await axe.run()).violations") if faults else []
        assert [(width, v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        sizes = page.evaluate(
            "[...document.querySelectorAll('main img')].map(i => [i.naturalWidth, i.getBoundingClientRect().width])"
        )
        assert all(natural > 0 and shown > 0 for natural, shown in sizes)


def test_the_keyboard_skips_to_the_report_and_follows_the_contents(built, page):
    show(page, built, "evaluation")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the report"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    show(page, built, "evaluation")
    tab_to(page, page.locator("nav.contents a").nth(3).text_content().strip())
    page.keyboard.press("Enter")
    target = page.evaluate("decodeURIComponent(location.hash.slice(1))")
    page.wait_for_function(
        "id => { const y = document.getElementById(id).getBoundingClientRect().top; return y >= 0 && y < 200; }",
        arg=target,
    )
    assert page.locator("nav.contents").bounding_box()["y"] >= 0, "the contents stay in sight"


def test_the_contents_of_a_phone_open_by_keyboard(built, page):
    show(page, built, "appendix", 390)
    first = page.locator("nav.contents a").first
    assert not first.is_visible()
    tab_to(page, "Contents")
    page.keyboard.press("Enter")
    assert first.is_visible()


def test_the_code_of_a_figure_is_folded_away_and_opens_by_keyboard(built, page):
    show(page, built, "evaluation")
    code = page.locator("details.code-fold code").first
    assert "show_figure" in code.text_content() and not code.is_visible()
    tab_to(page, "Code", most=100)
    page.keyboard.press("Enter")
    assert code.is_visible()


def names(page) -> list[str]:
    """The sites that are in sight, in their order."""
    return page.evaluate(
        "[...document.querySelectorAll('#tbl-briefs tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].textContent.trim())"
    )


def test_the_sites_are_filtered_by_keyboard(built, page):
    show(page, built, "index")
    every = names(page)
    page.get_by_label("Show rows of Table 1 with").focus()
    page.keyboard.type("pacs north")
    some = names(page)
    assert 1 <= len(some) < 9 and all("North" in name for name in some)
    assert page.get_by_role("status").first.text_content() == f"{len(some)} of {len(every)} rows"
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    assert names(page) == every


def test_the_sites_are_sorted_by_keyboard(built, page):
    show(page, built, "index")
    every = names(page)

    def column(number: int) -> list[float]:
        cells = page.evaluate(
            f"[...document.querySelectorAll('#tbl-briefs tbody tr')].map(r => r.cells[{number}].textContent.trim())"
        )
        return [float(text.split("(")[0].replace(",", "").replace("−", "-")) for text in cells if text != "–"]

    for number, header in ((2, "People"), (3, "Change, %")):
        tab_to(page, header)
        page.keyboard.press("Enter")
        assert column(number) == sorted(column(number))
        assert page.locator("#tbl-briefs th").nth(number).get_attribute("aria-sort") == "ascending"
        page.keyboard.press("Enter")
        assert column(number) == sorted(column(number), reverse=True) and len(set(column(number))) > 10
        assert page.locator("#tbl-briefs th").nth(number).get_attribute("aria-sort") == "descending"
    assert sorted(names(page)) == sorted(every)
    assert page.locator("#tbl-briefs th[aria-sort]").count() == 1


def test_a_file_of_numbers_comes_down_whole(built, page):
    show(page, built, "evaluation")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Numbers as CSV").first.click()
    assert Path(waiting.value.path()).read_bytes() == (built.work.reports / "csv/fig-growth.csv").read_bytes()


def test_the_page_prints_without_what_only_a_screen_needs(built, page):
    show(page, built, "evaluation")
    page.emulate_media(media="print")
    assert not page.locator("nav.contents").is_visible() and not page.locator("details.code-fold").first.is_visible()
    assert page.locator("#fig-growth img").is_visible()


def test_the_index_without_scripts_is_a_plain_table(built, browser):
    context = browser.new_context(offline=True, java_script_enabled=False)
    opened = context.new_page()
    opened.goto((built.work.reports / "index.html").as_uri())
    assert opened.locator("#tbl-briefs tbody tr").count() == 23 and opened.locator("input, button").count() == 0
    context.close()
