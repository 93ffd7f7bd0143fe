"""A study whose every text is hostile: a copy of the project in which names, notes and the protocol's words hold markup and formulas."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from acceptance.scratch_project import Project

HTML = "<script>window.hostile=1</script><img src=x onerror=window.hostile=1>"
ATTRIBUTE = '"><svg onload="window.hostile=1">&lt;'
TYPST = '#eval("1") #panic() $x$ = /* no */ <fig-effects> \\u{41}'
MARKDOWN = "**bold** [link](http://example.org/a) ![i](http://example.org/x.png) @fig-none [@nobody] `{python} 1/0`"
QUARTO = (
    "{{< include x >}} {{< pagebreak >}} ::: {.callout-note} ``` {=typst} | a | b | {#fig-effects} ~~no~~ ^2^ --- ..."
)
FORMULA, PLUS, AT, MINUS = '=HYPERLINK("http://example.org")', "+1+1", "@SUM(A1)", "-1+cmd|' /C calc'!A0"
PYTHON = "'\"\"\"''' + str(1/0) + \\"
PAYLOADS = [HTML, ATTRIBUTE, TYPST, MARKDOWN, QUARTO, FORMULA, PLUS, AT, MINUS, PYTHON]

SITES = {  # what is called so instead
    "Salford Together": f"{HTML} in Salford",
    "Wirral Partners": FORMULA,
    "Harrogate and Rural District": f"# {TYPST} in Harrogate",
    "Dudley MCP": MARKDOWN,
    "Stockport Together": PLUS,
    "West Cheshire Way": AT,
    "Tower Hamlets Together": f"1. {QUARTO} in the Tower",
    "Erewash MCP (Wellbeing Erewash)": f"{PYTHON} in Erewash",
    "Lakeside Healthcare (Northamptonshire)": f"- {ATTRIBUTE} in the lake",
}
FREE_TEXT = {
    "title", "label", "name", "rest_label", "definition", "plain", "unit", "source", "mar", "snapshot", "what", "why", "subtitle",
    "introduction", "published_before", "controlled_study", "other_studies", "planned_care", "at_the_same_time", "fixed", "limits",
}  # fmt: skip


def plant(project: Project) -> list[str]:
    """Make every text of a project hostile; return what was planted in the protocol."""
    planted: list[str] = []
    turn = itertools.cycle(PAYLOADS)

    def spoil(text: str) -> str:
        return f"{next(turn)} {text}" if text else text

    protocol = project.root / "analysis/protocol.toml"

    def line(found: re.Match[str]) -> str:
        key, text = found[1], json.loads(found[2])
        if key not in FREE_TEXT or text in ("mar", "dtoc", "records", "ae") or re.fullmatch(r"\d\w\w", text):
            return found[0]
        planted.append(spoil(text))
        return f"{key} = {json.dumps(planted[-1], ensure_ascii=False)}"

    text = re.sub(r'^(\w+) = ("[^"\n]*")', line, protocol.read_text(encoding="utf-8"), flags=re.MULTILINE)
    protocol.write_text(text, encoding="utf-8")

    def name(text: str) -> str:
        return SITES.get(text, text)

    raw = project.root / "data_raw"
    rewrite(raw / "vanguard_ccgs.csv", vanguard=name, ccg_name=spoil, note=spoil, source=spoil)
    rewrite(raw / "published_results.csv", source=spoil, note=spoil, metric=spoil, window=spoil, baseline=spoil)
    rewrite(raw / "reconciliation.csv", reason=spoil)
    rewrite(raw / "programme_facts.csv", source=spoil)
    rewrite(raw / "ccg_changes.csv", pred_name=spoil, succ_name=spoil)
    rewrite(raw / "manifest.csv", title=spoil, publisher=spoil)
    rewrite(raw / "snapshot/units.csv", unit_name=lambda text: SITES.get(text) or spoil(text), site=name)
    rewrite(raw / "snapshot/population.csv", unit_name=spoil)
    rewrite(raw / "snapshot/quality_ledger.csv", unit_name=spoil, note=spoil)
    made_from = raw / "snapshot/provenance.json"
    content = json.loads(made_from.read_text(encoding="utf-8"))
    for file in content["files"]:
        file |= {"title": spoil(file["title"]), "publisher": spoil(file["publisher"])}
    made_from.write_text(json.dumps(content), encoding="utf-8")
    return planted


def rewrite(path: Path, **changes: Callable[[str], str]) -> None:
    """Change the cells of some columns of a CSV file."""
    with open(path, encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: changes.get(key, str)(value) for key, value in row.items()} for row in rows)


def cells(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8", newline="") as handle:
        yield from itertools.chain.from_iterable(csv.reader(handle))
