"""The table of faults in ``tests/README.md``, from the tests that are marked with one; ``python tests/faults.py`` writes it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGINNING, END = "<!-- faults: written by tests/faults.py -->\n", "<!-- end of faults -->\n"


def marked() -> Iterator[tuple[str, str, str]]:
    """What is done, what follows, and the test, in the order of files and lines."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for call in getattr(node, "decorator_list", []):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.fault":
                    what, follows = (ast.literal_eval(argument) for argument in call.args)
                    yield what, follows, f"{file.relative_to(ROOT / 'tests')}::{getattr(node, 'name', '')}"


def table() -> str:
    rows = [f"| {what} | {follows} | `{test}` |\n" for what, follows, test in marked()]
    return "".join(["| fault | what follows | test |\n", "|---|---|---|\n", *rows])


def with_table(text: str) -> str:
    """A text with the table between its two marks."""
    head, _, rest = text.partition(BEGINNING)
    return head + BEGINNING + "\n" + table() + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    readme = ROOT / "tests/README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
