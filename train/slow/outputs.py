"""The files that the slow mode and dreams write, checked before any work starts."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data.images import check_writable_format
from train.errors import TrainError


@dataclass(frozen=True)
class SlowFiles:
    """The files that the slow mode writes: a picture, and further files whose names begin with its stem.

    Args:
        picture: The picture.
        keeps_steps: Whether intermediate pictures, and the GIF made of them, are kept.
    """

    picture: Path
    keeps_steps: bool

    @property
    def table(self) -> Path:
        """The losses as a table."""
        return self._beside("-curve.csv")

    @property
    def plot(self) -> Path:
        """The losses as a plot."""
        return self._beside("-curve.png")

    @property
    def animation(self) -> Path:
        """The intermediate pictures as an animated GIF."""
        return self._beside(".gif")

    @property
    def page(self) -> Path:
        """The page that shows it all."""
        return self._beside(".html")

    @property
    def steps(self) -> Path:
        """Folder of the intermediate pictures."""
        return self._beside("-steps")

    def step(self, iteration: int) -> Path:
        """Name the picture of an iteration."""
        return self.steps / f"{iteration:05}.png"

    def list_steps(self) -> list[Path]:
        """List the intermediate pictures of an earlier run; files of other names are not ours to remove."""
        return [path for path in sorted(self.steps.glob("*.png")) if len(path.stem) >= 5 and path.stem.isdecimal()]

    def list_written(self) -> list[Path]:
        """List the picture and the files beside it that have one name, whatever the number of iterations."""
        if not self.picture.name:
            return []
        return [self.picture, self.table, self.plot, self.page, *([self.animation] if self.keeps_steps else [])]

    def require_free(self, inputs: Iterable[Path], overwrite: bool) -> None:
        """Make sure that everything can be written, without touching any of it.

        Args:
            inputs: Files that are read.
            overwrite: Whether earlier files may be replaced; those that are read never are.

        Raises:
            TrainError: If something cannot or may not be written.
            ImageError: If the picture's ending is not a format that can be written.
        """
        # Earlier ones are removed even where none are kept this time: they would be taken for the new picture's.
        with _explained(self.picture):
            steps = self.list_steps() if self.keeps_steps or overwrite else []
            left = [self.animation] if overwrite else []
            if self.keeps_steps and self.steps.exists() and not self.steps.is_dir():
                raise TrainError(f"'{self.steps}' is a file where a folder is needed; choose another --output")
        require_output(self.picture, inputs, overwrite, [*self.list_written()[1:], *steps, *left])

    def clear_steps(self) -> None:
        """Remove the intermediate pictures of an earlier run."""
        for path in self.list_steps():
            path.unlink(missing_ok=True)

    def clear_others(self, written: Collection[Path]) -> None:
        """Remove the plot and the animation of an earlier run where they are not among the files written."""
        for path in (self.plot, self.animation):
            if path not in written:
                path.unlink(missing_ok=True)

    def _beside(self, ending: str) -> Path:
        return self.picture.with_name(self.picture.stem + ending)


def require_output(picture: Path, inputs: Iterable[Path], overwrite: bool, beside: Iterable[Path] = ()) -> None:
    """Make sure that a picture and the files beside it can be written, before anything is computed.

    Args:
        picture: The picture.
        inputs: Files that are read.
        overwrite: Whether earlier files may be replaced; those that are read never are.
        beside: Further files that are written or removed.

    Raises:
        TrainError: If something cannot or may not be written.
        ImageError: If the picture's ending is not a format that can be written.
    """
    check_writable_format(picture)
    # Outside of what explains errors by the output: an input's name may be too long, too.
    read = [path for path in inputs if path.exists()]
    with _explained(picture):
        existing = [path for path in (picture, *beside) if path.exists()]
        for path in existing:
            if path.is_dir():
                raise TrainError(f"output '{path}' is a folder; name a picture file with --output")
            if any(path.samefile(other) for other in read):
                raise TrainError(f"output '{path}' is also an input; choose another --output")
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise TrainError(f"'{existing[0]}'{more} would be overwritten; choose another --output, or pass --overwrite")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainError(f"'{path}' cannot be written ({error.strerror or error}); choose another --output") from error
