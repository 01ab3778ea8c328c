"""What was seen, as sheets and as one self-contained HTML file that explains itself to a newcomer."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from PIL.Image import Resampling

from data.images import Picture, contact_sheet, from_array, to_array
from export.sheet.grid import Cell, draw_sheet
from train.features.field import field_size, unit_spacing
from train.features.network import SeenNetwork
from train.features.strongest import KEPT, Strongest
from train.page import embed_jpeg, render_page, to_uri

REPORT = "report.html"
"""Name of the page."""

TEMPLATE = Path(__file__).resolve().parent / "templates" / "report.html.j2"

ACROSS = 3
"""Pictures along a side of a panel: the nine of a channel."""

TILE = 84
"""Side of these pictures in pixels."""

EXPECTED = {
    "1": "Edges of one direction, and spots of one color, a few pixels large.",
    "2": "Corners, lines that run side by side, simple textures.",
    "3": "Textures and repeated patterns: grids, fur, scales, script.",
    "4": "Parts of things: eyes, snouts, legs, wheels, feathers.",
    "5": "Large parts and whole things, wherever in the field they are.",
}
"""What a VGG's blocks are known for (Zeiler and Fergus 2014, section 4.1, of a network of five such blocks)."""


@dataclass(frozen=True)
class Setting:
    """What was looked at.

    Args:
        folder: Name of the folder of photos.
        photos: Photos that were looked at.
        size: Longer side, in pixels, that they were scaled down to.
        style: Whether the networks are style networks.
        named: Whether the channels that are shown were named.
        stopped: Whether Ctrl-C left photos out.
    """

    folder: str
    photos: int
    size: int
    style: bool
    named: bool
    stopped: bool


@dataclass(frozen=True)
class Example:
    """One of the photos that excite a channel most.

    Args:
        photo: Its name.
        activation: The channel's largest activation in it.
        cut: The receptive field of that activation.
        projection: The activation projected to the pixels, of the same field.
    """

    photo: str
    activation: float
    cut: Picture
    projection: Picture


@dataclass(frozen=True)
class Channel:
    """A channel of a layer.

    Args:
        number: Its number, counted from 0.
        excited: Photos that excite it.
        examples: Those that do most, strongest first.
    """

    number: int
    excited: int
    examples: list[Example]


@dataclass(frozen=True)
class LayerRow:
    """A row of the table of layers.

    Args:
        name: The layer.
        channels: How many it has.
        field: Side of a unit's receptive field in pixels.
        spacing: Pixels between neighboring units.
        dead: For each network the channels that no photo excites.
        common: Of the photos that excite a channel most, those that two networks have in common, averaged over
            channels; None for one network.
    """

    name: str
    channels: int
    field: int
    spacing: float
    dead: list[list[int]]
    common: float | None


def make_tile(field: Picture) -> Picture:
    """Scale a receptive field to the size at which it is shown; fields of a few pixels keep their pixels apart."""
    method = Resampling.NEAREST if max(field.shape) * 4 <= TILE else Resampling.LANCZOS
    return to_array(from_array(field).resize((TILE, TILE), method))


def make_panel(tiles: Sequence[Picture]) -> Picture:
    """Lay the tiles of a channel out, three in a row; places that are left are light gray."""
    blank = np.full((TILE, TILE, 3), 235, np.uint8)
    filled = [*tiles, *[blank] * (KEPT - len(tiles))]
    return contact_sheet([filled[first : first + ACROSS] for first in range(0, KEPT, ACROSS)], gap=2)


def draw_layer(layer: str, names: Sequence[str], networks: Sequence[Sequence[Channel]]) -> PIL.Image.Image:
    """Draw the sheet of a layer: for each channel its pictures, beside them their projections.

    Args:
        layer: Its name.
        names: Of the networks.
        networks: The channels that are shown, the same of each network.

    Returns:
        The sheet, RGB; the pictures of a second network stand below those of the first.
    """
    cells = []
    for same in zip(*networks, strict=True):
        rows = [
            contact_sheet(
                [
                    [
                        make_panel([one.cut for one in found.examples]),
                        make_panel([one.projection for one in found.examples]),
                    ]
                ],
                gap=8,
            )
            for found in same
        ]
        cells.append(Cell([from_array(row) for row in rows], f"channel {same[0].number}"))
    order = f"{names[0]} above, {names[1]} below" if len(names) == 2 else names[0]
    heading = f"{layer} of {order}: what excites a channel most, and what in it does"
    return draw_sheet(cells, ACROSS * TILE, heading=heading)


def tabulate_layers(networks: Sequence[SeenNetwork], findings: Sequence[Mapping[str, Strongest]]) -> list[LayerRow]:
    """Sum layers up, in the order in which the network computes them."""
    rows = []
    for layer, windows in networks[-1].windows.items():
        found = [one[layer] for one in findings if layer in one]
        if found:
            rows.append(
                LayerRow(
                    layer,
                    len(found[-1].excited),
                    field_size(windows),
                    unit_spacing(windows),
                    [one.dead for one in found],
                    count_common(*found) if len(found) == 2 else None,
                )
            )
    return rows


def count_common(first: Strongest, second: Strongest) -> float:
    """Return how many of the photos that excite a channel most are the same in two networks, averaged over channels."""
    same = (first.photos[:, :, None] == second.photos[:, None]) & (first.values > 0)[:, :, None]
    return float((same & (second.values > 0)[:, None]).any(2).sum(1).float().mean())


def build_page(
    setting: Setting,
    networks: Sequence[SeenNetwork],
    findings: Sequence[Mapping[str, Strongest]],
    channels: Sequence[Mapping[str, Sequence[Channel]]],
    photo: Picture,
) -> str:
    """Write the page.

    Args:
        setting: What was looked at.
        networks: One, or two that are compared.
        findings: For each what was found in its layers.
        channels: For each the channels that are shown, by layer.
        photo: One of the photos, on which receptive fields are drawn.

    Returns:
        HTML that refers to no other file.
    """
    rows = tabulate_layers(networks, findings)
    height, width = photo.shape[:2]
    return render_page(
        TEMPLATE,
        setting=setting,
        names=[network.name for network in networks],
        rows=rows,
        shares=[[len(dead) / row.channels for dead in row.dead] for row in rows],
        expected={row.name: "" if setting.style else EXPECTED.get(row.name[4], "") for row in rows},
        layers={row.name: list(zip(*(one[row.name] for one in channels), strict=True)) for row in rows},
        panels=_embed_panels,
        photo=embed_jpeg(photo),
        width=width,
        height=height,
    )


def _embed_panels(channel: Channel) -> tuple[str, str]:
    """Return the addresses of a channel's two panels."""
    return (
        _embed_png(make_panel([example.cut for example in channel.examples])),
        _embed_png(make_panel([example.projection for example in channel.examples])),
    )


def _embed_png(picture: Picture) -> str:
    # Not JPEG: the fields of early layers are a few pixels, whose colors JPEG would mix.
    file = io.BytesIO()
    from_array(picture).quantize(128).save(file, "PNG", optimize=True)
    return to_uri(file.getvalue(), "image/png")
