"""Openers for the tests of several processes, which import them: copy photos in place of repainting them, or die."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from export.stylize.jobs import Job
from export.stylize.workers import Outcome, Paint


def open_copier() -> Paint:
    """Return what copies a photo, and tells the process that did."""

    def copy(job: Job) -> Outcome:
        if not job.photo.exists():
            return Outcome(f"photo '{job.photo}' is gone")
        shutil.copy(job.photo, job.output)
        return Outcome(note=str(os.getpid()))

    return copy


def open_mortal(deadly: str, marker: Path) -> Paint:
    """Return what copies a photo, but kills its process at the photo of a name, as long as there is no marker."""
    copy = open_copier()

    def copy_or_die(job: Job) -> Outcome:
        if job.photo.name == deadly and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return copy(job)

    return copy_or_die
