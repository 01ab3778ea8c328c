"""The folder that a run leaves behind, ``runs/<name>/``, and who may write to it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from data.files import require_absent
from train.errors import TrainError

_SHEET = re.compile(r"step-\d{6,}\.png")


@dataclass(frozen=True)
class RunFolder:
    """Where each product of a run lies.

    Args:
        path: ``runs/<name>``.
    """

    path: Path

    @classmethod
    def choose(cls, runs: Path, name: str) -> RunFolder:
        """Return the folder of a run: ``runs/<name>``, or deeper if the name has slashes.

        Raises:
            TrainError: If the name leads out of ``runs``, or to it.
        """
        words = Path(name)
        if words.anchor or ".." in words.parts or not words.parts:
            raise TrainError(
                f"--name '{name}' is no folder within '{runs}'; choose a plain name, as in --name wave, and another "
                "place with --runs"
            )
        return cls(runs / words)

    @property
    def config(self) -> Path:
        """The whole configuration, ready to be run again."""
        return self.path / "config.yaml"

    @property
    def checkpoint(self) -> Path:
        """The latest state, to resume from."""
        return self.path / "last.ckpt"

    @property
    def weights(self) -> Path:
        """The trained network, with its card in the header."""
        return self.path / "style.safetensors"

    @property
    def onnx(self) -> Path:
        """The exported network."""
        return self.path / "style.onnx"

    @property
    def previews(self) -> Path:
        """Before-and-after sheets, one for every so many steps."""
        return self.path / "previews"

    @property
    def metrics(self) -> Path:
        """The losses as a table, one row for every so many steps."""
        return self.path / "metrics.csv"

    def list_events(self) -> list[Path]:
        """List TensorBoard's files."""
        return sorted((self.path / "tensorboard").glob("events.out.tfevents.*"))

    def list_previews(self) -> list[Path]:
        """List the sheets of an earlier run; files of other names are not ours to remove."""
        return [path for path in sorted(self.previews.glob("step-*.png")) if _SHEET.fullmatch(path.name)]

    def list_written(self) -> list[Path]:
        """List what an earlier run wrote: all that this one may replace or remove."""
        single = (self.checkpoint, self.weights, self.onnx, self.config, self.metrics)
        return [file for file in single if file.exists()] + self.list_previews() + self.list_events()

    def is_resumed(self, checkpoint: str | Path | None) -> bool:
        """Tell whether a checkpoint to go on from, if there is one, is this folder's own."""
        return checkpoint is not None and Path(checkpoint).resolve().parent == self.path.resolve()

    def require_free(self, overwrite: bool = False, flag: str = "--name", own: Iterable[str] = ()) -> None:
        """Make sure, before anything is computed, that no file is lost that this program may not replace.

        Args:
            overwrite: Whether an earlier run may be replaced; a table of another program's never is.
            flag: The flag that names the folder.
            own: Names of further files that this run writes into it.

        Raises:
            TrainError: If an earlier run, or a file of a name that a run takes, lies here.
        """
        written = [path for path in (self.path / name for name in own) if path.exists()] + self.list_written()
        if written and not overwrite:
            resume = "continue it with --ckpt_path last, " if self.checkpoint.exists() else ""
            holds = "a run" if resume or self.weights.exists() else f"a {written[0].relative_to(self.path)}"
            raise TrainError(
                f"'{self.path}' already holds {holds}; {resume}choose another {flag}, or say --overwrite true"
            )
        self._require_own_table(flag)

    def require_unread(
        self, files: Iterable[str | None], folders: Iterable[str | None], flag: str = "--name", own: Iterable[str] = ()
    ) -> None:
        """Make sure that nothing is read that this run replaces or removes.

        Args:
            files: Files that are read.
            folders: Folders whose pictures are read.
            flag: The flag that names the folder.
            own: Names of further files that this run writes into it.

        Raises:
            OutputError: Naming the first file that is.
        """
        here = self.path.resolve()
        inside = [
            folder for folder in (Path(name).resolve() for name in folders if name) if folder.is_relative_to(here)
        ]
        sheets = [path for path in self.list_previews() if any(map(path.resolve().is_relative_to, inside))]
        written = [*(self.path / name for name in own), *self.list_written()]
        require_absent(written, True, flag, [*files, *sheets])

    def _require_own_table(self, flag: str) -> None:
        try:
            with self.metrics.open(encoding="utf-8") as file:
                first = file.readline(1000)
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise TrainError(
                f"'{self.metrics}' cannot be read ({reason}); move it away, or choose another {flag}"
            ) from error
        if first and "step" not in first.strip().split(","):
            raise TrainError(
                f"'{self.metrics}' is not a table of losses that this program wrote; move it away, or choose another "
                f"{flag}"
            )

    @property
    def lock(self) -> Path:
        """The file that a training holds while it writes here; one that a killed training left is taken over."""
        return self.path / ".lock"

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keep other trainings out of the folder while the block runs.

        The system lets go of it when this process ends, even if it is killed. Where folders take no locks, as some on
        networks, it is not held.

        Raises:
            TrainError: If another process holds it.
        """
        with self.lock.open("ab") as file:
            # One that the run before removes as it ends keeps nobody out.
            if not _try_lock(file) or not self.lock.exists():
                raise TrainError(
                    f"another run is writing to '{self.path}'; wait for its end, stop it, or choose another --name or "
                    "--output"
                )
            try:
                yield
            finally:
                try:
                    # While it is held: afterwards it may be another run's.
                    self.lock.unlink()
                except OSError:
                    # Windows removes no open file.
                    file.close()
                    with contextlib.suppress(OSError):
                        self.lock.unlink()

    @contextlib.contextmanager
    def claim(self) -> Iterator[None]:
        """Take the folder for a new run, whose configuration the block writes.

        Raises:
            TrainError: If another command that was started at the same time has taken it.
        """
        try:
            self.config.touch(exist_ok=False)
        except FileExistsError as error:
            raise TrainError(
                f"another run has begun in '{self.path}' in the meantime; choose another --name or --output"
            ) from error
        try:
            yield
        except BaseException:
            self.config.unlink(missing_ok=True)
            raise

    def clear(self) -> None:
        """Remove the files of an earlier run that this one will write again."""
        for file in self.list_written():
            # Configuration and table are replaced where they are written anew.
            if file not in {self.config, self.metrics}:
                file.unlink(missing_ok=True)


def _try_lock(file: BinaryIO) -> bool:
    """Lock a file for this process; returns False if another has it, True where files cannot be locked."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            # Not flock, whose lock would outlive a killed training in the processes that decode its photos.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in {errno.EACCES, errno.EAGAIN}
    return True


def describe_file(path: Path) -> str:
    """Name a file so that another person can tell whether theirs is the same: its name and SHA-256."""
    with path.open("rb") as file:
        return f"{path.name}, sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"


def fingerprint_files(paths: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits that identify what is in files, and their order."""
    digests = [hashlib.blake2b(path.read_bytes()).digest() for path in paths]
    return hashlib.blake2b(b"".join(digests), digest_size=8).hexdigest()
