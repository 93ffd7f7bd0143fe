"""What a build was made from: every step's inputs and outputs by content, written down in ``manifest.json``.

A step runs again when the content of one of its inputs or outputs is no longer the one written down, whatever the files'
times say. Nothing here needs more than the standard library: most of the time the answer is that nothing has to be done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.core.errors import MachineError
from analysis.core.files import sha256, write_text

MANIFEST, REASONS = "manifest.json", ".why.json"
PACKAGE = "analysis"
IMPORT = re.compile(
    rf"^\s*(?:from ({PACKAGE}(?:\.\w+)*) import (\([^)]*\)|[^\n]+)|import ({PACKAGE}(?:\.\w+)+))", re.MULTILINE
)


@dataclass(frozen=True)
class Step:
    """``name``; ``made_from``: what it depends on → its SHA-256, or a choice's value."""

    name: str
    made_from: Mapping[str, str]


@dataclass
class Manifest:
    """``build/manifest.json``: ``steps`` step → what it was made from; ``outputs`` file below the build → SHA-256 and step.

    The same inputs give the same manifest. Why each step last ran is kept apart, in ``.why.json``.
    """

    build: Path
    steps: dict[str, dict[str, str]] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)  # files of steps that make them no longer

    @classmethod
    def read(cls, build: Path) -> Manifest:
        """What is written down of a build; nothing, where it cannot be read or is not what ``save`` writes."""
        content, reasons = _json(build / MANIFEST), _json(build / REASONS)
        try:
            steps = {str(step): dict(made_from) for step, made_from in content["steps"].items()}
            outputs = {
                _inside(file): {"sha256": str(entry["sha256"]), "step": str(entry["step"])}
                for file, entry in content["outputs"].items()
            }
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls(build)
        return cls(build, steps, outputs, {step: why for step, why in reasons.items() if isinstance(why, list)})

    def of(self, step: str) -> list[str]:
        """The files that a step made."""
        return [file for file, entry in self.outputs.items() if entry["step"] == step]

    def changes(self, step: Step) -> list[str]:
        """Why the step has to run, in words, one reason an entry; none where all is as it was written down."""
        before = self.steps.get(step.name)
        if before is None:
            return ["it was not made here yet"]
        now = step.made_from
        reasons = [f"{name} is new" for name in now if name not in before]
        reasons += [f"{name} is gone" for name in before if name not in now]
        reasons += [f"{name} has changed" for name in now if name in before and before[name] != now[name]]
        return reasons + [f"{file} {fault}" for file, fault in self.faults(self.of(step.name)).items()]

    def faults(self, files: Iterable[str]) -> dict[str, str]:
        """Output → what is wrong with it, of those that are not as they were written down."""
        found = {}
        for file in files:
            path = self.build / file
            if not path.is_file():
                found[file] = "is missing"
            elif digest(path) != self.outputs[file]["sha256"]:
                found[file] = "is not as it was made"
        return found

    def note(self, step: Step, files: Iterable[Path], because: list[str]) -> None:
        """Note what the step made just now; what it made before, and no step makes now, leaves the build with ``save``."""
        made = {str(path.relative_to(self.build)): digest(path) for path in files}
        self._drop(step.name)
        self.outputs |= {file: {"sha256": number, "step": step.name} for file, number in made.items()}
        self.steps[step.name] = dict(sorted(step.made_from.items()))
        self.reasons[step.name] = because

    def forget(self, steps: Iterable[str]) -> None:
        """Take steps that no longer exist out, with what they made."""
        for step in steps:
            self._drop(step)
            self.steps.pop(step, None)
            self.reasons.pop(step, None)

    def _drop(self, step: str) -> None:
        for file in self.of(step):
            del self.outputs[file]
            self.dropped.add(file)

    def save(self) -> None:
        """Write it all down."""
        for file in self.dropped - set(self.outputs):
            try:
                (self.build / file).unlink(missing_ok=True)
            except OSError as error:
                raise MachineError(f"{self.build / file}: cannot be removed ({error.strerror}).") from error
        content = {"steps": dict(sorted(self.steps.items())), "outputs": dict(sorted(self.outputs.items()))}
        write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", self.build / MANIFEST)
        write_text(json.dumps(self.reasons, indent=1, ensure_ascii=False) + "\n", self.build / REASONS)


def is_manifest(path: Path) -> bool:
    """Whether a file is a manifest as ``Manifest.save`` writes it."""
    content = _json(path)
    return all(isinstance(content.get(part), dict) for part in ("steps", "outputs"))


def digest(path: Path) -> str:
    """A file's SHA-256.

    Raises
    ------
    MachineError
        It cannot be read.
    """
    try:
        return sha256(path)
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}). Check the file's permissions.") from error


def code(root: Path, entries: Iterable[str], texts: Iterable[str] = ()) -> dict[str, Path]:
    """Every module of the package that the ``entries``, or Python ``texts``, import, directly or not: label → file.

    Imports are read, not run, wherever in a module they stand.
    """
    found: dict[str, Path] = {}
    waiting = [*entries, *(name for text in texts for name in _imported(text))]
    while waiting:
        name = waiting.pop()
        path = root.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        label = str(path.relative_to(root))
        if label in found or not path.is_file():
            continue
        found[label] = path
        waiting += [name.rpartition(".")[0], *_imported(path.read_text(encoding="utf-8"))]
    return found


def _imported(text: str) -> list[str]:
    """Names that may be modules of the package: what is imported from, and what is imported."""
    names = []
    for source, listed, whole in IMPORT.findall(text):
        names += [whole] if whole else [source, *(f"{source}.{name}" for name in re.findall(r"\w+", listed))]
    return names


def _inside(file: str) -> str:
    """A path that stays in its folder, since what is no longer made is removed."""
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise ValueError(file)
    return file


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
