"""Independent jobs on several processes, with results in the order of the jobs, so that workers never change a result."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from analysis.core.errors import MachineError

Job = TypeVar("Job")
Result = TypeVar("Result")

_work: tuple[Callable[[Any], Any], Sequence[Any]]  # of this worker


def run_jobs(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """``function`` of each job, in their order; in this process where ``workers`` is 1.

    Raises
    ------
    MachineError
        A worker was stopped from outside.
    """
    if workers == 1:
        yield from map(function, jobs)
        return
    try:
        # Jobs share tables. A worker gets all jobs once, most often by being forked, and then only numbers are sent.
        with ProcessPoolExecutor(workers, initializer=_begin, initargs=(function, jobs)) as pool:
            yield from pool.map(_run, range(len(jobs)))
    except BrokenProcessPool as problem:
        raise MachineError(
            "A worker was stopped from outside, most likely because memory ran out. "
            "Earlier outputs are untouched. Free some memory and run again."
        ) from problem


def _begin(function: Callable[[Any], Any], jobs: Sequence[Any]) -> None:
    global _work
    _work = function, jobs
    _end_with_parent()


def _run(number: int) -> Any:
    function, jobs = _work
    return function(jobs[number])


def _end_with_parent() -> None:
    """End this worker when the run that started it is killed; else it waits for ever and holds the folder's lock."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
