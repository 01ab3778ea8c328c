"""A slow optimization from its configuration to its files."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from data.files import make_folder, write_whole
from data.images import encode, from_array
from data.photos import to_uint8
from train.errors import TrainError
from train.slow.config import SlowConfig
from train.slow.optimizer import TERMS, EarlyStopping, Iterate, PixelOptimizer, bind_loss, resize
from train.slow.page import Run, build_page, draw_losses, draw_starts
from train.slow.record import FIELDS, Record
from train.slow.task import Task, announce_small


def optimize(task: Task) -> Iterator[Iterate]:
    """Run the optimization through all its sizes.

    Args:
        task: Pictures and loss.

    Yields:
        Every iterate.

    Raises:
        TrainError: If the loss or a pixel is no longer finite.
    """
    config = task.config
    picture, carried, iteration = task.first_picture(task.sizes[0]), None, 0
    for size in task.sizes:
        content = task.prepare(size)
        first = resize(picture, size)
        loss, exact = bind_loss(task.loss, content, config.precision, first.device, config.alpha_weight)
        optimizer = PixelOptimizer(first, loss, config.optimizer, config.learning_rate, carried, exact)
        stopping, announced = EarlyStopping(config.patience), False
        for terms in optimizer.run(config.iterations):
            iteration += 1
            total = float(terms.total)
            if not math.isfinite(total):
                raise TrainError(
                    f"the loss became {total} at iteration {iteration}; lower --learning-rate or the weights"
                )
            # The last step may give NaN, and no loss is computed after it.
            if not optimizer.values.isfinite().all():
                raise TrainError(
                    f"pixels are no longer finite after iteration {iteration}; lower --learning-rate or the weights"
                )
            if optimizer.exact_from is not None and not announced:
                announced = True
                tqdm.write(f"iteration {iteration}: steps gain less than bfloat16 rounds away; continuing in float32")
            yield Iterate(iteration, optimizer.picture, terms, optimizer)
            if stopping.should_stop(total):
                break
        picture, carried = optimizer.picture[:, : picture.shape[1]], optimizer.state


def run(config: SlowConfig, on_iterate: Callable[[Iterate], object] | None = None) -> list[Path]:
    """Optimize a picture, from one start or from several, and write it.

    What is written is the best picture of the last size, that of the lowest loss, which with Adam may be an average of
    the last iterates. After Ctrl-C it is the best so far of the present size, and further starts are left out.

    Args:
        config: What is asked for.
        on_iterate: Called after every iteration.

    Returns:
        The files written, the picture first.

    Raises:
        TrainError: If what was asked for cannot work.
        ImageError: If a picture cannot be read or written.
        OSError: If a file beside it cannot be written.
        KeyboardInterrupt: After Ctrl-C before the first iteration, or while the files are written.
    """
    config.check()
    make_folder(Path(config.output).parent)
    runs: list[Run] = []
    written: list[Path] = []
    for one in config.split_starts():
        try:
            task = Task(one)
            if not runs:
                announce_sizes(task)
            found = run_once(task, on_iterate)
        except KeyboardInterrupt:
            if not runs:
                raise
            break
        runs.append(found)
        written += [*found.record.write(found.picture), one.files.page]
        write_whole(one.files.page, build_page(one, [found]))
        if found.stopped:
            break
    if not config.starts:
        return written
    return write_starts(config, runs) + written


def announce_sizes(task: Task) -> None:
    """Say on standard error what the sizes that were asked for do not change, because the photo is smaller."""
    config, longer = task.config, max(task.size)
    announce_small(longer, config.size)
    if config.smallest_size is not None and config.smallest_size >= longer:
        said = f"--smallest-size {config.smallest_size} is not below the picture's {longer} px; there is this one size"
        print(said, file=sys.stderr)


def run_once(task: Task, on_iterate: Callable[[Iterate], object] | None = None) -> Run:
    """Optimize a picture from one start; intermediate pictures are written meanwhile.

    Args:
        task: Pictures and loss.
        on_iterate: Called after every iteration.

    Raises:
        TrainError, ImageError, OSError: As ``run`` does.
        KeyboardInterrupt: After Ctrl-C before the first iteration.
    """
    config = task.config
    record = Record(config.files, config.save_every, config.overwrite)
    first = to_uint8(task.finish(task.first_picture(task.size).expand(-1, 3, -1, -1))[0])
    total = config.iterations * len(task.sizes)
    now: Iterate | None = None
    best: tuple[Tensor, float] | None = None
    stopped = False
    with tqdm(total=total, desc="slow", unit="it", disable=None) as bar:
        try:
            for now in optimize(task):
                if on_iterate is not None:
                    on_iterate(now)
                record.add(now._replace(picture=task.finish(now.picture)))
                bar.update()
                bar.set_postfix(describe(now, config), refresh=False)
            if now is not None:
                best = now.optimizer.choose_best()
        except KeyboardInterrupt:
            stopped = True
    if now is None:
        raise KeyboardInterrupt
    if stopped:
        print("\nstopped; the best picture so far is kept", file=sys.stderr)
    picture, loss = best or now.optimizer.choose_best()
    return Run(config, record, from_array(first), from_array(to_uint8(task.finish(picture)[0])), loss, stopped)


def write_starts(config: SlowConfig, runs: Sequence[Run]) -> list[Path]:
    """Write what compares several starts: the sheet, the losses and the page; return their paths."""
    files = config.files
    encode(draw_starts(runs), files.picture)
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["start", *FIELDS])
    writer.writerows([run.name, *row] for run in runs for row in run.record.rows)
    write_whole(files.table, table.getvalue())
    write_whole(files.plot, draw_losses(runs))
    write_whole(files.page, build_page(config, runs))
    if config.overwrite:
        files.clear_steps()
        files.clear_others([files.plot])
    return [files.picture, files.table, files.plot, files.page]


def describe(now: Iterate, config: SlowConfig) -> dict[str, str]:
    """Return the losses that count and the size as the progress bar shows them."""
    terms = dict(zip(TERMS, now.terms, strict=False))
    terms |= {"tv": now.terms.total_variation, "palette": now.terms.palette}
    if config.emd_weight:
        terms["emd"] = now.terms.emd
    shown = {name: f"{float(term):.3g}" for name, term in terms.items()}
    return shown | {"px": f"{now.picture.shape[3]}x{now.picture.shape[2]}"}
