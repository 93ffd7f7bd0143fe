"""Questions that a build answers about itself: why a step runs or ran, and whether every file is as it was made."""

from __future__ import annotations

from pathlib import Path

from analysis.build import steps
from analysis.build.manifest import Manifest, Step
from analysis.core.errors import UsageError
from analysis.core.files import FOLDERS
from analysis.core.workspace import Workspace


def why(work: Workspace, target: str | None = None) -> str:
    """Of each step, or of those that make ``target`` (a step, a report or a file): what would trigger it now, and what did last.

    Raises
    ------
    UsageError
        No step has that name or makes that file.
    """
    made = Manifest.read(work.build)
    every = [steps.data_step(work), steps.results_step(work), *steps.report_steps(work, made).values()]
    return "\n".join(_why(made, step) for step in _asked(work, made, every, target))


def verify(work: Workspace) -> tuple[str, bool]:
    """What is wrong with a build, one line a file, and whether nothing is: files changed, missing, or made by no step.

    Raises
    ------
    UsageError
        There is no manifest.
    """
    made = Manifest.read(work.build)
    if not made.outputs:
        raise UsageError(f"{work.build / 'manifest.json'} lists nothing yet. Run `make report`.")
    faults = made.faults(made.outputs)
    there = {
        str(path.relative_to(work.build))
        for name in FOLDERS
        for path in (work.build / name).rglob("*")
        if path.is_file()
    }
    faults |= {file: "was made by no step" for file in sorted(there - set(made.outputs))}
    lines = [f"{file} {fault}" for file, fault in sorted(faults.items())]
    right = f"{len(made.outputs)} files are as {work.build.name}/manifest.json lists them."
    return "\n".join(
        [*lines, "Run `make report`, which makes again what is not as it was."] if lines else [right]
    ), not lines


def _asked(work: Workspace, made: Manifest, every: list[Step], target: str | None) -> list[Step]:
    if not target:
        return every
    below = Path(target).resolve()
    file = str(below.relative_to(work.build.resolve())) if below.is_relative_to(work.build.resolve()) else target
    maker = made.outputs.get(file, {}).get("step", target)
    found = [
        step
        for step in every
        if step.name == maker or step.name.partition("/")[0] == maker or step.name.partition("/")[2] == maker
    ]
    if not found:
        names = ", ".join(step.name for step in every)
        raise UsageError(f"No step is called {target!r}, and none made a file of that name. The steps: {names}.")
    return found


def _why(made: Manifest, step: Step) -> str:
    reasons = made.changes(step)
    lines = [
        f"{step.name}: {'will run, since' if reasons else 'nothing has changed'}",
        *(f"  {reason}" for reason in reasons),
    ]
    if not reasons:
        lines += [
            "  it last ran, since",
            *(f"    {reason}" for reason in made.reasons.get(step.name, ["nobody wrote down why"])),
        ]
    return "\n".join(lines)
