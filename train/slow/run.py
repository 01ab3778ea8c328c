"""A slow optimization from its configuration to its files."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tqdm import tqdm

from data.files import make_folder
from data.images import from_array
from data.photos import to_uint8
from train.errors import TrainError
from train.slow.config import SlowConfig
from train.slow.optimizer import TERMS, EarlyStopping, Iterate, PixelOptimizer, bind_loss, resize
from train.slow.record import Record
from train.slow.task import Task


def optimize(task: Task) -> Iterator[Iterate]:
    """Run the optimization through all its sizes.

    Args:
        task: Pictures and loss.

    Yields:
        Every iterate.

    Raises:
        TrainError: If the loss is no longer finite.
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
            if optimizer.exact_from is not None and not announced:
                announced = True
                tqdm.write(f"iteration {iteration}: steps gain less than bfloat16 rounds away; continuing in float32")
            yield Iterate(iteration, optimizer.picture, terms, optimizer)
            if stopping.should_stop(total):
                break
        picture, carried = optimizer.picture[:, : picture.shape[1]], optimizer.state


def run(config: SlowConfig, on_iterate: Callable[[Iterate], object] | None = None) -> list[Path]:
    """Optimize a picture and write it.

    After Ctrl-C the best picture so far of the present size is written, that of the lowest loss. A run that ends by
    itself writes its last picture, which with Adam is the average of its iterates.

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
    task = Task(config)
    record = Record(config.files, config.save_every)
    total = config.iterations * len(task.sizes)
    now: Iterate | None = None
    stopped = False
    with tqdm(total=total, desc="slow", unit="it", disable=None) as bar:
        try:
            for now in optimize(task):
                if on_iterate is not None:
                    on_iterate(now)
                record.add(now._replace(picture=task.finish(now.picture)))
                bar.update()
                bar.set_postfix(describe(now), refresh=False)
        except KeyboardInterrupt:
            stopped = True
    if now is None:
        raise KeyboardInterrupt
    if stopped:
        print("\nstopped; the best picture so far is kept", file=sys.stderr)
    picture = task.finish(now.optimizer.choose_best() if stopped else now.picture)
    return record.write(from_array(to_uint8(picture[0])))


def describe(now: Iterate) -> dict[str, str]:
    """Return the losses and the size as the progress bar shows them."""
    terms = dict(zip(TERMS, now.terms, strict=False))
    terms |= {"tv": now.terms.total_variation, "palette": now.terms.palette}
    shown = {name: f"{float(term):.3g}" for name, term in terms.items()}
    return shown | {"px": f"{now.picture.shape[3]}x{now.picture.shape[2]}"}
