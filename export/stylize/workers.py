"""Repaint many photos at once: in several processes of this machine, or on the machines of a Ray cluster."""

from __future__ import annotations

import concurrent.futures
import functools
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from data.images import without_native_lines
from export.errors import ExportError
from export.stylize.jobs import Job

PART = 100_000
"""Photos that a cluster is given at a time, so that their paths take no memory to speak of."""

BLOCK = 8
"""Photos that a worker of a cluster is given at a time; if it dies, another one repaints them."""


@dataclass(frozen=True)
class Outcome:
    """What became of one photo.

    Args:
        error: Why it was not repainted, as a sentence; empty if it was.
        kept: Whether its picture was there and whole, and was left as it is.
        note: What else to tell about it; empty for nothing.
        report: A line about it for programs; empty for none.
    """

    error: str = ""
    kept: bool = False
    note: str = ""
    report: str = ""


Paint = Callable[[Job], Outcome]
"""Repaints one photo."""

OpenPaint = Callable[[], Paint]
"""Called once in each worker; loads the style. It is sent there, so it must be picklable."""

Tell = Callable[[Outcome], object]
"""Called with each outcome, in the order in which photos are finished."""


def paint_in_processes(jobs: Iterable[Job], open_paint: OpenPaint, count: int, tell: Tell) -> None:
    """Repaint photos in several processes; after Ctrl-C those that were begun are finished and told.

    Args:
        jobs: Taken one by one, as processes get free.
        open_paint: Opens the style in a process.
        count: Processes.
        tell: Gets the outcomes.

    Raises:
        ExportError: If a process is killed.
    """
    # A forked process would inherit the locks of ONNX Runtime's threads, but not the threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, _ignore_interrupts, (open_paint,)) as pool:
        waiting: set[Future[Outcome]] = set()
        try:
            for job in jobs:
                waiting.add(pool.submit(_work, job))
                if len(waiting) >= 2 * count:
                    _tell_finished(waiting, tell)
            while waiting:
                _tell_finished(waiting, tell)
        except BrokenProcessPool as error:
            raise ExportError(
                "a process was killed, perhaps for want of memory; go on with --resume, and fewer --workers or less "
                "--memory"
            ) from error
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            for future in waiting:
                if not future.cancelled() and future.exception() is None:
                    tell(future.result())
            raise


def _tell_finished(waiting: set[Future[Outcome]], tell: Tell) -> None:
    for future in concurrent.futures.wait(waiting, return_when=FIRST_COMPLETED).done:
        waiting.discard(future)
        tell(future.result())


def _ignore_interrupts(open_paint: OpenPaint) -> None:
    # Ctrl-C goes to all processes of a terminal; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _process["paint"] = functools.cache(open_paint)


_process: dict[str, Callable[[], Paint]] = {}


def _work(job: Job) -> Outcome:
    return _process["paint"]()(job)


def paint_on_ray(jobs: Iterable[Job], open_paint: OpenPaint, count: int | None, threads: int, tell: Tell) -> None:
    """Repaint photos on the cluster that ``RAY_ADDRESS`` names, or else with Ray on this machine.

    Every machine has to have this program, and the folders under the same paths. The photos of a worker that dies are
    repainted by another.

    Args:
        jobs: Taken in parts.
        open_paint: Opens the style in a worker.
        count: Workers; None for as many as the cluster has cores for.
        threads: Cores that each worker takes.
        tell: Gets the outcomes.

    Raises:
        ExportError: If Ray is not installed.
    """
    # Ray would report its use to its makers, and print the warnings of its own machinery beside our sentences.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with without_native_lines():
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise ExportError('--ray needs Ray; pip install "onestroke[ray]"') from error
        ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    pool = ray.data.ActorPoolStrategy(size=count or max(1, int(ray.cluster_resources()["CPU"]) // threads))
    jobs = iter(jobs)
    while part := list(islice(jobs, PART)):
        rows = [{"photo": str(job.photo.absolute()), "output": str(job.output.absolute())} for job in part]
        photos = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // BLOCK))
        outcomes = photos.map(_RayWorker, fn_constructor_args=(open_paint,), compute=pool, num_cpus=threads)
        for row in outcomes.iter_rows():
            tell(Outcome(**row))


class _RayWorker:
    """Holds the style in a process of the cluster."""

    def __init__(self, open_paint: OpenPaint) -> None:
        self._paint = open_paint()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        outcome = self._paint(Job(Path(row["photo"]), Path(row["output"])))
        return asdict(outcome)
