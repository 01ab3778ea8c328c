"""Between a video's frames and RGB pictures: color matrix and range, rotation, size; needs PyAV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import PIL.Image
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from data.images import Picture, to_array

# Numbers of H.273, which FFmpeg's are; swscale has numbers of its own for the matrices.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
_BT709, _BT601 = 1, 6
_UNSPECIFIED = 2
_HIGH_DYNAMIC_RANGE = {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}
_EXACT = Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
_SCALED = Interpolation.LANCZOS | _EXACT
_SAME_SIZE = Interpolation.BICUBIC | _EXACT


@dataclass(frozen=True)
class Color:
    """How a video's numbers are colors: the code points of ITU-T H.273 that its file carries.

    Args:
        matrix: Of luma and chroma: 1 for BT.709, 6 for BT.601, 9 for BT.2020.
        range: 1 for limited (16 to 235), 2 for full (0 to 255).
        transfer: The curve, 2 if the file does not say.
        primaries: 2 if the file does not say.
    """

    matrix: int
    range: int
    transfer: int
    primaries: int


def read_color(frame: av.VideoFrame) -> Color:
    """Find out how a frame's numbers are colors, and so those of the painted ones.

    Where the file does not name a matrix, or holds RGB, it is that which players take: BT.709 from 720 lines or 1280
    columns on, and BT.601 below. High dynamic range becomes BT.709, because networks were trained with no other.
    """
    if frame.color_trc in _HIGH_DYNAMIC_RANGE:
        return Color(_BT709, ColorRange.MPEG, ColorTrc.BT709, ColorPrimaries.BT709)
    usual = choose_color(frame.width, frame.height)
    if _is_rgb(frame):
        return usual
    matrix = frame.colorspace if frame.colorspace in _MATRICES else usual.matrix
    full = frame.color_range == ColorRange.JPEG
    return Color(matrix, ColorRange.JPEG if full else ColorRange.MPEG, frame.color_trc, frame.color_primaries)


def choose_color(width: int, height: int) -> Color:
    """Return what players take numbers for where a file with frames of this size, in pixels, says nothing."""
    large = width >= 1280 or height >= 720
    return Color(_BT709 if large else _BT601, ColorRange.MPEG, _UNSPECIFIED, _UNSPECIFIED)


def to_picture(reformatter: VideoReformatter, frame: av.VideoFrame, width: int, height: int) -> Picture:
    """Turn a decoded frame into an upright RGB picture.

    Args:
        reformatter: One for all frames of a clip, which keeps its tables; those for high dynamic range take seconds.
        frame: Of any pixel format; transparency is laid on white.
        width: Of the upright picture, in pixels, to which the frame is scaled.
        height: Likewise.

    Returns:
        uint8, shape (H, W, 3).
    """
    matrix = read_turn(frame)
    if _is_quarter_turn(matrix):
        width, height = height, width
    has_alpha = _has_alpha(frame)
    is_high = frame.color_trc in _HIGH_DYNAMIC_RANGE
    scaled = reformatter.reformat(
        frame,
        width,
        height,
        "rgba" if has_alpha else "rgb24",
        src_colorspace=None if _is_rgb(frame) else _MATRICES[read_color(frame).matrix] if not is_high else None,
        interpolation=_SAME_SIZE if (width, height) == (frame.width, frame.height) else _SCALED,
        dst_color_range=ColorRange.JPEG,
        dst_color_trc=ColorTrc.BT709 if is_high else None,
        dst_color_primaries=ColorPrimaries.BT709 if is_high else None,
        threads=1,
    )
    pixels = np.asarray(scaled.to_ndarray(), np.uint8)
    return _turn(to_array(PIL.Image.fromarray(pixels)) if has_alpha else pixels, matrix)


def is_transparent(frame: av.VideoFrame) -> bool:
    """Return whether a pixel of a decoded frame is not opaque."""
    return _has_alpha(frame) and bool(frame.to_ndarray(format="rgba")[..., 3].min() < 255)


def from_picture(reformatter: VideoReformatter, picture: Picture, color: Color) -> av.VideoFrame:
    """Turn a picture into a frame of 4:2:0 chroma, whose sides become even by repeating the last row or column.

    Args:
        reformatter: One for all frames of a clip.
        picture: RGB, uint8, shape (H, W, 3).
        color: How the frame's numbers are to be colors.
    """
    height, width = picture.shape[:2]
    even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = reformatter.reformat(
        av.VideoFrame.from_ndarray(np.ascontiguousarray(even), "rgb24"),
        format="yuv420p",
        interpolation=_SAME_SIZE,
        src_color_range=ColorRange.JPEG,
        dst_colorspace=_MATRICES[color.matrix],
        dst_color_range=color.range,
        threads=1,
    )
    frame.colorspace = color.matrix
    frame.color_trc = color.transfer
    frame.color_primaries = color.primaries
    return frame


def read_turn(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Read how a player turns a frame.

    Returns:
        Signs of a, b, c and d, where the pixel at (x, y) is shown at (a x + c y, b x + d y); a turn by another angle
        becomes the nearest by right angles.
    """
    # PyAV's types know of motion vectors only.
    side_data: Any = frame.side_data
    data = side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(np.int64)
    if abs(b) > abs(a):
        return 0, 1 if b > 0 else -1, 1 if c > 0 else -1, 0
    return 1 if a >= 0 else -1, 0, 0, 1 if d >= 0 else -1


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Return width and height, in pixels, of a frame as a player shows it."""
    return (frame.height, frame.width) if _is_quarter_turn(read_turn(frame)) else (frame.width, frame.height)


def _has_alpha(frame: av.VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components) or frame.format.has_palette


def _is_quarter_turn(matrix: tuple[int, int, int, int]) -> bool:
    return matrix[0] == 0


def _turn(pixels: Picture, matrix: tuple[int, int, int, int]) -> Picture:
    a, b, c, d = matrix
    if a == 0:
        pixels = pixels.transpose(1, 0, 2)
    if a + c < 0:
        pixels = pixels[:, ::-1]
    if b + d < 0:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _is_rgb(frame: av.VideoFrame) -> bool:
    return frame.format.is_rgb or frame.format.has_palette
