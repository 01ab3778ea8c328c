"""Photos in, a report out: two passes over a folder of which one photo at a time is in memory."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from data.files import make_folder, require_absent, write_whole
from data.images import ImageError, Picture, decode, encode, fit_within, list_images, to_array
from data.photos import to_tensor, to_uint8
from export.cli import INTERRUPTED
from train.compute.device import choose_device
from train.errors import TrainError
from train.features.deconvnet import project, rectified_activations
from train.features.field import trace_field
from train.features.network import STYLE_LAYERS, VGG_LAYERS, SeenNetwork, open_perceptual, open_style
from train.features.report import REPORT, Channel, Example, Setting, build_page, draw_layer, make_tile
from train.features.strongest import Strongest

Findings = dict[str, Strongest]
"""What was found in the layers of a network, by their names."""

SHOWN_SHARE = 0.995
"""Share of a projection's values that a picture tells apart; what is beyond is black or white."""


class PhotoReader:
    """Reads photos at a bounded size, one at a time, and passes over those that cannot be used.

    Args:
        paths: The photos.
        size: Longer side in pixels to which they are scaled down.
        least: Smallest side in pixels.

    Attributes:
        failures: Why photos cannot be used, in sentences.
    """

    def __init__(self, paths: Sequence[Path], size: int, least: int) -> None:
        self.paths = paths
        self.failures: list[str] = []
        self._size = size
        self._least = least

    def read(self, number: int) -> Tensor | None:
        """Return a photo, RGB in [0, 1], shape (1, 3, H, W), or None."""
        path = self.paths[number]
        try:
            image = fit_within(decode(path, at_least=self._size), self._size)
        except ImageError as error:
            self.failures.append(str(error))
            return None
        if min(image.size) < self._least:
            self.failures.append(
                f"picture '{path}' has {image.width} x {image.height} pixels at this size, and the layers need "
                f"{self._least} on either side"
            )
            return None
        return to_tensor(to_array(image))


@torch.no_grad()
def watch(networks: Sequence[SeenNetwork], layers: Sequence[str], reader: PhotoReader) -> tuple[list[Findings], bool]:
    """Look at all photos.

    Args:
        networks: The networks.
        layers: Their layers that are looked at.
        reader: Of the photos.

    Returns:
        For each network what was found, and whether Ctrl-C ended it early.
    """
    findings = [{layer: Strongest(network.windows[layer]) for layer in layers} for network in networks]
    with tqdm(total=len(reader.paths), desc="photos", unit="photo", disable=None) as bar:
        try:
            for number in range(len(reader.paths)):
                photo = reader.read(number)
                if photo is not None:
                    for network, found in zip(networks, findings, strict=True):
                        numbers = {layer: network.number(layer) for layer in layers}
                        pictures = photo.to(network.device)
                        activations = rectified_activations(network.run, pictures, set(numbers.values()))
                        for layer in layers:
                            found[layer].add(number, activations[numbers[layer]], (photo.shape[2], photo.shape[3]))
                bar.update()
        except KeyboardInterrupt:
            return findings, True
    return findings, False


def illustrate(
    network: SeenNetwork, found: Findings, channels: dict[str, list[int]], reader: PhotoReader, description: str
) -> dict[str, list[Channel]]:
    """Cut out what excites channels most, and project it.

    Args:
        network: The network.
        found: What was found in its layers.
        channels: Which of their channels are shown.
        reader: Of the photos that were looked at.
        description: What the progress bar says.

    Returns:
        Channels by layer, in the order asked for.
    """
    # By photo, so that each is read, and sent through the network, once.
    wanted: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for layer, chosen in channels.items():
        for channel in chosen:
            for rank, value in enumerate(found[layer].values[channel].tolist()):
                if value > 0:
                    wanted[int(found[layer].photos[channel, rank])].append((layer, channel, rank))
    examples: dict[tuple[str, int, int], Example] = {}
    numbers = {network.number(layer) for layer in channels}
    with tqdm(total=sum(map(len, wanted.values())), desc=description, unit="unit", disable=None) as bar:
        for number, units in sorted(wanted.items()):
            photo = reader.read(number)
            if photo is None:
                raise TrainError(f"'{reader.paths[number]}' cannot be read any more; let the photos be, and try again")
            photo = photo.to(network.device).requires_grad_()
            activations = rectified_activations(network.run, photo, numbers)
            for layer, channel, rank in units:
                row, column = found[layer].places[channel, rank].tolist()
                projection = project(activations[network.number(layer)], photo, (channel, row, column))
                windows = network.windows[layer]
                field = (trace_field(windows, row), trace_field(windows, column))
                examples[layer, channel, rank] = Example(
                    reader.paths[number].name,
                    float(found[layer].values[channel, rank]),
                    make_tile(cut_out(to_uint8(photo[0].detach()), field)),
                    make_tile(show_projection(projection, field)),
                )
                bar.update()
    return {
        layer: [
            Channel(
                channel,
                int(found[layer].excited[channel]),
                [example for key, example in sorted(examples.items()) if key[:2] == (layer, channel)],
            )
            for channel in chosen
        ]
        for layer, chosen in channels.items()
    }


def cut_out(picture: Picture, field: tuple[tuple[int, int], tuple[int, int]]) -> Picture:
    """Cut a field, its first and last row and its first and last column, out of a picture; gray beyond the borders."""
    (top, bottom), (left, right) = field
    cut = np.full((bottom - top + 1, right - left + 1, 3), 128, np.uint8)
    rows = slice(max(top, 0), min(bottom + 1, picture.shape[0]))
    columns = slice(max(left, 0), min(right + 1, picture.shape[1]))
    inside = cut[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    inside[:] = picture[rows, columns]
    return cut


def show_projection(projection: Tensor, field: tuple[tuple[int, int], tuple[int, int]]) -> Picture:
    """Turn a projection, shape (3, H, W), into a picture of its field: gray is 0, and all but the largest fit in."""
    (top, bottom), (left, right) = field
    inside = projection[:, max(top, 0) : bottom + 1, max(left, 0) : right + 1].abs().flatten()
    # A projection has a few spikes, beside which the rest could not be seen.
    largest = inside.quantile(SHOWN_SHARE).clamp_min(torch.finfo(torch.float32).tiny)
    return cut_out(to_uint8(0.5 + (projection / largest).clamp(-1, 1) * (127 / 255)), field)


def run(options: argparse.Namespace) -> int:
    """Look at photos as the command line asks, and write the report.

    Args:
        options: What ``command.parse`` returns.

    Returns:
        The exit code: 0, or 130 for a report of the photos that were seen before Ctrl-C.

    Raises:
        TrainError, ImageError, ModelFileError, OutputError: If what was asked for cannot work.
        KeyboardInterrupt: After Ctrl-C before the first photo, or after the last.
    """
    paths = list_images(options.photos, "name a folder of JPEG or PNG files with --photos")
    if options.count and options.count < len(paths):
        # At equal distances, because neighbors in a folder are often alike.
        paths = [paths[index * len(paths) // options.count] for index in range(options.count)]
    layers = list(dict.fromkeys(options.layers or (STYLE_LAYERS if options.model else VGG_LAYERS)))
    written = [options.output / name for name in (REPORT, *(f"{layer}.png" for layer in layers))]
    read = [*paths, *(options.model or [options.perceptual_weights])]
    require_absent(written, options.overwrite, inputs=read)
    networks = open_networks(options, layers)
    for layer in layers:
        count, *others = (network.count_channels(layer) for network in networks)
        if others not in ([], [count]):
            raise TrainError(
                f"{layer} has {count} channels in '{networks[0].name}' and {others[0]} in '{networks[1].name}'; name "
                "two networks of one width with --model, or one alone"
            )
        for channel in options.channels or []:
            if channel >= count:
                raise TrainError(f"--channels names {channel}, and {layer} has {count} channels, 0 to {count - 1}")
    make_folder(options.output)
    reader = PhotoReader(paths, options.size, networks[0].least_side)
    findings, stopped = watch(networks, layers, reader)
    seen = min(strongest.seen for found in findings for strongest in found.values())
    if stopped and not seen:
        raise KeyboardInterrupt
    if not seen:
        raise TrainError(f"none of {len(paths)} photos can be used, the first because {reader.failures[0]}")
    if stopped:
        print("\nstopped; the report is of the photos so far, press Ctrl-C again for none", file=sys.stderr)
    if reader.failures:
        print(f"{len(reader.failures)} photos cannot be used, the first because {reader.failures[0]}", file=sys.stderr)
    # Of two networks the second is the one that has learned more.
    chosen = {
        layer: list(dict.fromkeys(options.channels or findings[-1][layer].rank_channels(options.strongest)))
        for layer in layers
    }
    channels = [
        illustrate(network, found, chosen, reader, f"projections, {network.name}")
        for network, found in zip(networks, findings, strict=True)
    ]
    setting = Setting(
        folder=options.photos.resolve().name,
        photos=seen,
        size=options.size,
        style=bool(options.model),
        named=bool(options.channels),
        stopped=stopped,
    )
    for layer in layers:
        encode(
            draw_layer(layer, [network.name for network in networks], [one[layer] for one in channels]),
            options.output / f"{layer}.png",
        )
    example = next(photo for number in range(len(paths)) if (photo := reader.read(number)) is not None)
    write_whole(options.output / REPORT, build_page(setting, networks, findings, channels, to_uint8(example[0])))
    print(f"wrote {', '.join(str(path) for path in written)}")
    return INTERRUPTED if stopped else 0


def open_networks(options: argparse.Namespace, layers: Sequence[str]) -> list[SeenNetwork]:
    """Open the networks that the command line names: one, or two style networks to compare."""
    device = choose_device()
    if not options.model:
        return [open_perceptual(options.perceptual, layers, options.perceptual_weights, device)]
    networks = [open_style(path, device) for path in options.model]
    if len({network.name for network in networks}) < len(networks):
        # Two runs of one style, or two runs' checkpoints: what tells their files apart is mostly the runs' folders.
        names = tell_apart(*options.model)
        networks = [replace(network, name=name) for network, name in zip(networks, names, strict=True)]
    for network in networks:
        for layer in layers:
            network.number(layer)
    return networks


def tell_apart(one: Path, other: Path) -> tuple[str, str]:
    """Return the last parts by which two files' paths differ; the paths themselves if the files are one."""
    for parts in zip(reversed(one.resolve().parts), reversed(other.resolve().parts), strict=False):
        if parts[0] != parts[1]:
            return parts
    return str(one), str(other)
