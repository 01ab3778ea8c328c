"""The README of a folder of variants: what each file is, and lines to copy into an app."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

_PURPOSES = {
    "float32": "the picture as trained",
    "fp16": "half the bytes; computes in float16 where the runtime can, in and out float32",
    "u8": "bitmaps and canvases: bytes in and out, rounded and clamped inside",
    "w8": "a quarter of the bytes: 8-bit weights, computed in float32",
    "int8": "integer convolutions (QDQ), for processors that have them",
}


def write_readme(manifest: dict[str, Any]) -> str:
    """Write the README that belongs to a manifest.

    Args:
        manifest: As ``export.variants`` writes it.

    Returns:
        Markdown.
    """
    groups = _group_by_contract(manifest["files"])
    parts = [_head(manifest), _table(manifest), *map(_contract, groups)]
    parts.append("## Python\n\nNeeds `onnxruntime`, `numpy` and `pillow`.\n")
    converted = {entry["file"] for entry in manifest.get("ort", [])}
    parts += [_python_section(group, converted) for group in groups]
    shown = next((entry for entry in manifest["files"] if entry["precision"] == "u8"), None)
    if shown is None:
        parts.append(
            "For bitmaps in Kotlin, Swift and JavaScript export the variant `u8`; its README has their lines.\n"
        )
        return "\n".join(parts)
    fixed = _fixed_sides(shown)
    hint = f" Scale the picture to {fixed[1]} x {fixed[0]} first.\n" if fixed else "\n"
    for title, language, text in (
        ("Kotlin (Android)", "kotlin", _KOTLIN),
        ("Swift (iOS)", "swift", _SWIFT),
        ("JavaScript (web)", "javascript", _JAVASCRIPT),
    ):
        parts.append(f"## {title}\n\n{_NEEDS[language]}{hint}\n```{language}\n{text}```\n")
    return "\n".join(parts)


def _head(manifest: dict[str, Any]) -> str:
    style, license = manifest["style"], manifest["license"] or "not stated"
    return f"# {style}\n\nA painting's style as a network that repaints any photo. License: {license}.\n"


def _table(manifest: dict[str, Any]) -> str:
    sides = [found["side"] for found in manifest["files"][0]["measurements"]]
    heads = [f"{side} px: ms, MB" for side in sides]
    lines = ["| file | bytes | from torch | " + "".join(f"{head} | " for head in heads) + "for |"]
    lines.append("| --- " * (4 + len(heads)) + "|")
    for entry in manifest["files"]:
        found = entry["difference_from_torch"]
        figure = f"{found['psnr_db']:.1f} dB, at most {found['max_levels']:.3g} of 255"
        costs = [f"{m['latency_ms']:.0f}, {m['peak_memory_mb']:.0f}" for m in entry["measurements"]]
        cells = [f"`{entry['file']}`", f"{entry['bytes']:,}", figure, *costs, _PURPOSES[entry["precision"]]]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"\nNot written: `{refused['variant']}` ({refused['reason']})." for refused in manifest["refused"]]
    if "ort" in manifest:
        config = manifest["ort"][-1]["file"]
        lines.append(
            f"\nThe `.ort` files are the same in ORT format; `{config}` lists the operators of a reduced build."
        )
    machine, photos = manifest["machine"], manifest["photos"]
    lines.append(
        f"\nJudged by {photos['judged_by']} photos of {photos['source']}; time and memory on {machine['cores']} cores "
        f"of {machine['processor']} with ONNX Runtime {machine['onnxruntime']}. More in `manifest.json`.\n"
    )
    return "\n".join(lines)


def _group_by_contract(entries: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Put files that take and give the same together, for one way of calling serves them all."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault(entry["input"]["type"], []).append(entry)
    return list(groups.values())


def _contract(group: Sequence[dict[str, Any]]) -> str:
    first, several = group[0], len(group) > 1
    value, fixed = first["input"], _fixed_sides(first)
    sizes = f"sides from {first['smallest_side']} pixels up"
    if fixed:
        sizes = f"pictures of {fixed[1]} x {fixed[0]} pixels alone"
    return (
        f"{_list_names([entry['file'] for entry in group])} {'take' if several else 'takes'} `{value['name']}` and "
        f"{'give' if several else 'gives'} `{first['output']['name']}`, both {value['type']} of shape "
        f"({', '.join(map(str, value['shape']))}), RGB, 0 to 255; {sizes}.\n"
    )


def _list_names(names: Sequence[str]) -> str:
    *others, last = [f"`{name}`" for name in names]
    return f"{', '.join(others)} and {last}" if others else last


def _fixed_sides(entry: dict[str, Any]) -> list[int] | None:
    shape = entry["input"]["shape"]
    sides = shape[1:3] if entry["input"]["layout"] == "NHWC" else shape[2:]
    return sides if all(isinstance(side, int) for side in sides) else None


def _python_section(group: Sequence[dict[str, Any]], converted: Set[str]) -> str:
    names = [entry["file"] for entry in group]
    names += [name for name in (f"{file.removesuffix('.onnx')}.ort" for file in names) if name in converted]
    others = f"; with the name changed, for {_list_names(names[1:])}" if len(names) > 1 else ""
    return f"For `{names[0]}`{others}:\n\n```python\n{_python(group[0])}```\n"


def _python(entry: dict[str, Any]) -> str:
    fixed = _fixed_sides(entry)
    resize = f".resize(({fixed[1]}, {fixed[0]}))" if fixed else ""
    if entry["input"]["type"] == "uint8":
        run = 'stylized = session.run(["stylized"], {"image": photo[None]})[0][0]\n'
    else:
        run = (
            "planes = photo.transpose(2, 0, 1)[None].astype(np.float32)\n"
            'stylized = session.run(["stylized"], {"image": planes})[0][0]\n'
            "stylized = stylized.round().astype(np.uint8).transpose(1, 2, 0)\n"
        )
    return (
        "import numpy as np\nimport onnxruntime\nfrom PIL import Image, ImageOps\n\n"
        f'session = onnxruntime.InferenceSession("{entry["file"]}")\n'
        'upright = ImageOps.exif_transpose(Image.open("photo.jpg"))\n'
        f'photo = np.asarray(upright.convert("RGB"){resize})\n'
        f'{run}Image.fromarray(stylized).save("stylized.png")\n'
    )


_NEEDS = {
    "kotlin": "Needs `com.microsoft.onnxruntime:onnxruntime-android`; the file lies in `assets/`.",
    "swift": "Needs the Swift package `onnxruntime-swift-package-manager`; the file lies in the app's bundle.",
    "javascript": "Needs `onnxruntime-web`, by a bundler or an import map; the file lies beside the page.",
}

_KOTLIN = """\
import ai.onnxruntime.*
import android.content.Context
import android.graphics.Bitmap
import java.nio.ByteBuffer

class Stylizer(context: Context) {
    private val environment = OrtEnvironment.getEnvironment()
    private val session =
        environment.createSession(context.assets.open("style.u8.onnx").readBytes(), OrtSession.SessionOptions())

    fun stylize(photo: Bitmap): Bitmap {
        val (width, height) = photo.width to photo.height
        val colors = IntArray(width * height)
        photo.getPixels(colors, 0, width, 0, 0, width, height)
        val pixels = ByteBuffer.allocateDirect(3 * colors.size)
        for (color in colors) {
            pixels.put((color shr 16).toByte()).put((color shr 8).toByte()).put(color.toByte())
        }
        pixels.rewind()
        val shape = longArrayOf(1, height.toLong(), width.toLong(), 3)
        OnnxTensor.createTensor(environment, pixels, shape, OnnxJavaType.UINT8).use { image ->
            session.run(mapOf("image" to image)).use { results ->
                val painted = (results[0] as OnnxTensor).byteBuffer
                for (index in colors.indices) {
                    val red = painted.get().toInt() and 255
                    val green = painted.get().toInt() and 255
                    val blue = painted.get().toInt() and 255
                    colors[index] = (255 shl 24) or (red shl 16) or (green shl 8) or blue
                }
            }
        }
        return Bitmap.createBitmap(colors, width, height, Bitmap.Config.ARGB_8888)
    }
}
"""

_SWIFT = """\
import Foundation
import OnnxRuntimeBindings

final class Stylizer {
    private let environment: ORTEnv
    private let session: ORTSession

    init() throws {
        environment = try ORTEnv(loggingLevel: .warning)
        let path = Bundle.main.path(forResource: "style.u8", ofType: "onnx")!
        session = try ORTSession(env: environment, modelPath: path, sessionOptions: nil)
    }

    /// Takes and gives RGB, three bytes per pixel, rows from the top.
    func stylize(rgb: Data, width: Int, height: Int) throws -> Data {
        let shape: [NSNumber] = [1, NSNumber(value: height), NSNumber(value: width), 3]
        let image = try ORTValue(
            tensorData: NSMutableData(data: rgb), elementType: .uInt8, shape: shape)
        let results = try session.run(
            withInputs: ["image": image], outputNames: ["stylized"], runOptions: nil)
        return try results["stylized"]!.tensorData() as Data
    }
}
"""

_JAVASCRIPT = """\
import * as ort from "onnxruntime-web";

const session = await ort.InferenceSession.create("style.u8.onnx");

// Takes and gives ImageData, as a canvas's getImageData and putImageData do.
export async function stylize({ data, width, height }) {
  const pixels = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    pixels[to++] = data[from];
    pixels[to++] = data[from + 1];
    pixels[to++] = data[from + 2];
  }
  const image = new ort.Tensor("uint8", pixels, [1, height, width, 3]);
  const { stylized } = await session.run({ image });
  const painted = new ImageData(width, height);
  for (let from = 0, to = 0; from < stylized.data.length; to += 4) {
    painted.data[to] = stylized.data[from++];
    painted.data[to + 1] = stylized.data[from++];
    painted.data[to + 2] = stylized.data[from++];
    painted.data[to + 3] = 255;
  }
  return painted;
}
"""
