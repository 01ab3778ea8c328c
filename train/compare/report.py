"""The comparison as one self-contained HTML file: contact sheet, tables and curves."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.images import from_array
from train.compare.artifacts import THRESHOLDS

Picture = NDArray[np.uint8]

SHOWN = ("50", "500")
"""Iterations of the slow result on the contact sheet, or the nearest there are."""

STYLE_SHEET = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fafafa; margin: 2rem auto; max-width: 1200px;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; background: #fff; } th, td { padding: .3rem .7rem; border: 1px solid #ddd; }
th { text-align: left; background: #f0f0f0; } td { text-align: right; white-space: nowrap; vertical-align: top; }
td:first-child { text-align: left; }
.sheet { overflow-x: auto; } .sheet td { padding: 4px; text-align: center; vertical-align: top; }
.sheet img { display: block; width: 256px; height: auto; } .range { color: #777; font-size: .8em; display: block; }
.bad { background: #fde2dd; } svg { background: #fff; border: 1px solid #ddd; max-width: 100%; }
"""


def build_page(
    setting: Mapping[str, Any], summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], painting: Picture
) -> str:
    """Write the page.

    Args:
        setting: What was compared, and how.
        summary: Medians and spread.
        rows: Photo by photo, with pictures and curves.
        painting: The style, uint8, shape (H, W, 3).

    Returns:
        HTML that refers to no other file.
    """
    title = "Fast against slow: " + ", ".join(summary["fast"])
    parts = [
        f"<h1>{html.escape(title)}</h1><p>{html.escape(describe_setting(setting))}</p>",
        f"<p>{html.escape(setting['kinship'])}</p>" if setting["kinship"] else "",
        "<h2>Pictures</h2>",
        _contact_sheet(rows, painting),
        "<h2>L-BFGS iterations that reach the network's loss</h2>",
        "<p>Medians; below them the smallest and the largest.</p>",
        _table_equivalents(summary["fast"], setting["iterations"]),
        "<h2>Where fast falls short</h2>",
        "".join(f"<p>{html.escape(line)}</p>" for line in describe_shortfall(summary)),
        "<h2>All measures</h2>",
        _table_measures(summary),
        "<p>Marked: above the threshold of its artifact. The other network's distances were not trained on.</p>",
        "<h2>The first photo's way</h2>",
        _curves(rows[0]),
    ]
    head = (
        f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{html.escape(title)}</title>"
    )
    body = "".join(parts)
    return f"<!doctype html><html lang='en'><head>{head}<style>{STYLE_SHEET}</style></head><body>{body}</body></html>\n"


def describe_setting(setting: Mapping[str, Any]) -> str:
    """Say in a line what was compared, and how."""
    auto = " (auto)" if setting["precision"] == "auto" else ""
    done, asked = setting["photos"], setting["photos_asked"]
    photos = "1 photo" if asked == 1 else f"{done} photos"
    if done < asked:
        photos = f"{done} of {asked} photos, for it was stopped,"
    return (
        f"{photos} at {setting['size']} px; L-BFGS up to {setting['iterations']} iterations; loss: "
        f"{setting['objective']} ({setting['perceptual']}); the other network: {setting['other']}; "
        f"{setting['threads']} threads for either; the slow curves are computed in {setting['slow_precision']}{auto}, "
        "the losses of networks and pictures in float32."
    )


def describe_shortfall(summary: Mapping[str, Any]) -> list[str]:
    """Say of each network how its medians compare with the slow result of most iterations, and name its artifacts."""
    if not summary["slow"]:
        return []
    count, slow = list(summary["slow"].items())[-1]
    lines = []
    for name, found in summary["fast"].items():
        terms = ", ".join(
            f"{term} {found[term]['median']:.3f} against {slow[term]['median']:.3f}"
            for term in ("loss", "content", "style", "ssim")
        )
        marked = [f"{field} {median:.2f} (threshold {limit})" for field, median, limit in list_artifacts(found)]
        artifacts = f"above their thresholds: {', '.join(marked)}" if marked else "no artifact above its threshold"
        lines.append(f"{name} against {count} iterations from the photo: {terms}; {artifacts}.")
    return lines


def list_artifacts(found: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return name, median and threshold of every artifact of a network that lies above its threshold."""
    limits = THRESHOLDS._asdict().items()
    return [(field, found[field]["median"], limit) for field, limit in limits if found[field]["median"] > limit]


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    rows = "".join("<tr>" + "".join(cells) + "</tr>" for cells in body)
    return f"<table><tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in head)}</tr>{rows}</table>"


def _cell(found: Mapping[str, float], digits: int, limit: float | None = None, beyond: float | None = None) -> str:
    def write(value: float) -> str:
        return f"&gt; {value:.0f}" if beyond is not None and value >= beyond else f"{value:.{digits}f}"

    mark = " class='bad'" if limit is not None and found["median"] > limit else ""
    ends = f"<span class='range'>{write(found['min'])} to {write(found['max'])}</span>"
    return f"<td{mark}>{write(found['median'])} {ends}</td>"


def _table_equivalents(fast: Mapping[str, Any], iterations: int) -> str:
    columns = [(start, term) for start, terms in next(iter(fast.values()))["equivalent"].items() for term in terms]
    body = [
        [f"<td>{html.escape(name)}</td>"]
        + [_cell(found["equivalent"][start][term], 0, beyond=iterations) for start, term in columns]
        for name, found in fast.items()
    ]
    return _table(["network", *(f"{term} from {start}" for start, term in columns)], body)


def _table_measures(summary: Mapping[str, Any]) -> str:
    limits = THRESHOLDS._asdict()
    names = ("loss", "content", "style", "ssim", "other_content", "other_style", *limits)
    titles = [name.replace("other_", "other network's ") for name in names]
    body = []
    for name, found in summary["fast"].items():
        speed = "<br>".join(f"{value['median']:.0f}x over {count}" for count, value in found["speedup"].items()) or "-"
        cells = [_cell(found[key], 3, limits.get(key)) for key in names]
        body.append([f"<td>{html.escape(name)}</td>", _cell(found["seconds"], 3), f"<td>{speed}</td>", *cells])
    for count, found in summary["slow"].items():
        cells = [_cell(found[key], 3, limits.get(key)) for key in names]
        body.append([f"<td>slow, {count} from the photo</td>", "<td>-</td>", "<td>-</td>", *cells])
    return "<div class='sheet'>" + _table(["", "seconds", "speed-up", *titles], body) + "</div>"


def arrange_pictures(rows: Sequence[Mapping[str, Any]], painting: Picture) -> tuple[list[str], list[list[Picture]]]:
    """Choose what stands side by side on the contact sheet.

    Args:
        rows: Photo by photo, with pictures and curves.
        painting: The style; it stands at the end of the first row.

    Returns:
        Titles of the columns, and for each photo its pictures.
    """
    counts = list(rows[0]["curves"]["photo"].pictures)
    wanted = (
        list(dict.fromkeys(min(counts, key=lambda count: abs(count - int(shown))) for shown in SHOWN)) if counts else []
    )
    models = list(rows[0]["fast"])
    sheet = []
    for row in rows:
        slow = row["curves"]["photo"].pictures
        fast = [row["fast"][name]["picture"] for name in models]
        sheet.append([row["before"], *fast, *(slow[count] for count in wanted)])
    sheet[0].append(painting)
    return ["photo", *models, *(f"slow, {count}" for count in wanted), "style"], sheet


def _contact_sheet(rows: Sequence[Mapping[str, Any]], painting: Picture) -> str:
    head, sheet = arrange_pictures(rows, painting)
    body = [[f"<td>{_image(picture)}</td>" for picture in pictures] for pictures in sheet]
    return f"<div class='sheet'>{_table(head, body)}</div>"


def _image(picture: Picture) -> str:
    file = io.BytesIO()
    from_array(picture).save(file, "JPEG", quality=88)
    return f"<img alt='' src='data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}'>"


def _curves(row: Mapping[str, Any], width: int = 720, height: int = 300) -> str:
    """Draw the loss over iterations from either start, and each network's loss as a level."""
    series = {f"from {start}": curve.losses["loss"] for start, curve in row["curves"].items()}
    levels = {name: found["loss"] for name, found in row["fast"].items()}
    every = [*(value for values in series.values() for value in values), *levels.values()]
    low, high = np.log(min(every)), np.log(max(every))
    longest = max(len(values) for values in series.values()) - 1

    def place(iteration: float, value: float) -> str:
        down = (high - np.log(value)) / max(high - low, 1e-9)
        return f"{40 + (width - 60) * iteration / max(longest, 1):.1f},{15 + (height - 45) * down:.1f}"

    colors = ("#1f5fa8", "#c2571a", "#2d8a4e", "#8a3fa0", "#a08a1f")
    drawn, legend = [], []
    for number, (name, values) in enumerate(series.items()):
        points = " ".join(place(iteration, value) for iteration, value in enumerate(values))
        drawn.append(f"<polyline fill='none' stroke='{colors[number]}' stroke-width='2' points='{points}'/>")
        legend.append(f"<span style='color:{colors[number]}'>slow, {name}</span>")
    for number, (name, value) in enumerate(levels.items(), start=len(series)):
        color = colors[number % len(colors)]
        ends = " ".join(place(iteration, value) for iteration in (0, longest))
        drawn.append(f"<polyline fill='none' stroke='{color}' stroke-dasharray='6 4' points='{ends}'/>")
        legend.append(f"<span style='color:{color}'>{html.escape(name)}</span>")
    axis = f"<text x='{width - 110}' y='{height - 8}' font-size='12'>{longest} iterations</text>"
    for value in np.geomspace(min(every), max(every), 5):
        down = float(place(0, value).split(",")[1])
        axis += f"<line x1='40' x2='{width - 20}' y1='{down}' y2='{down}' stroke='#eee'/>"
        axis += f"<text x='4' y='{down + 4}' font-size='11' fill='#777'>{value:.2f}</text>"
    picture = f"<svg viewBox='0 0 {width} {height}' width='{width}' height='{height}'>{axis}{''.join(drawn)}</svg>"
    return f"<p>{', '.join(legend)} (loss, logarithmic)</p>{picture}"
