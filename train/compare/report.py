"""The comparison as one self-contained HTML file: contact sheet, tables and curves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from train.compare.artifacts import THRESHOLDS
from train.compare.covariance import LAYERS, PAINTING_SIZES
from train.compare.measure import (
    CHECKPOINTS,
    MEASURES,
    STARTS,
    FastSummary,
    Measures,
    PhotoResult,
    Picture,
    Spread,
    Summary,
)
from train.page import embed_jpeg, render_page, to_uri

SHOWN = (50, 500)
"""Iterations of the slow result on the contact sheet, or the nearest there are."""

LARGEST_COUNTS = {"lattice"}
"""Artifacts of which the largest value over the photos counts, because photos without flat regions cannot have any."""

TEMPLATE = Path(__file__).resolve().parent / "templates" / "report.html.j2"

PICTURES = {"picture", "pictures", "original"}
"""Fields of the results that hold pictures; the JSON file leaves them out."""


@dataclass(frozen=True)
class Setting:
    """What was compared, and how.

    Args:
        size: Side of the pictures in pixels.
        iterations: L-BFGS iterations from either start.
        photos: Photos that were finished.
        photos_asked: Photos that were asked for.
        objective: Where the loss comes from.
        perceptual: The frozen network of the loss.
        reference: The reference network.
        distillation: A sentence, if one of the two networks was distilled from the other.
        precision: As asked for.
        slow_precision: As the slow optimization was computed.
        threads: Threads of torch and of ONNX Runtime, each.
        device: Where the losses and L-BFGS ran.
        fast_device: Where the style networks ran.
    """

    size: int
    iterations: int
    photos: int
    photos_asked: int
    objective: str
    perceptual: str
    reference: str
    distillation: str | None
    precision: str
    slow_precision: str
    threads: int
    device: str
    fast_device: str = "CPU"


def to_json(setting: Setting, summary: Summary, results: Sequence[PhotoResult]) -> dict[str, Any]:
    """Return everything but the pictures, for the JSON file."""

    def leave_pictures_out(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in pairs if name not in PICTURES}

    return {
        "setting": asdict(setting),
        "summary": asdict(summary),
        "photos": [asdict(result, dict_factory=leave_pictures_out) for result in results],
    }


def build_page(setting: Setting, summary: Summary, results: Sequence[PhotoResult], painting: Picture) -> str:
    """Write the page.

    Args:
        setting: What was compared, and how.
        summary: Medians and ranges.
        results: Photo by photo.
        painting: The style.

    Returns:
        HTML that refers to no other file.
    """
    titles, sheet = arrange_pictures(results, painting)
    return render_page(
        TEMPLATE,
        setting=setting,
        setting_line=describe_setting(setting),
        distance_line=describe_distance(setting),
        summary=summary,
        titles=titles,
        sheet=[[embed_jpeg(picture) for picture in pictures] for pictures in sheet],
        columns=[(start, term) for start, terms in _any_network(summary).equivalent.items() for term in terms],
        shortfall=describe_shortfall(summary),
        first_kept=CHECKPOINTS[0],
        measures=MEASURES,
        thresholds=asdict(THRESHOLDS),
        judge=judge_artifact,
        photo=results[0].photo,
        curves=to_uri(draw_curves(results[0]), "image/svg+xml"),
    )


def describe_distance(setting: Setting) -> str:
    """Say in a sentence on which network, layers and sizes the relative covariance distance is computed."""
    sizes = " or ".join([", ".join(map(str, PAINTING_SIZES[:-1])), str(PAINTING_SIZES[-1])])
    line = (
        f"Covariance distance: 1 is as close as a piece of the painting; on {setting.perceptual}'s "
        f"{' and '.join(LAYERS)}, the painting at {sizes} px, whichever is closest."
    )
    if setting.perceptual != "vgg19":
        line += f" It is {setting.perceptual}'s, the network of the loss, and does not compare with figures on vgg19."
    return line


def describe_setting(setting: Setting) -> str:
    """Say in a line what was compared, how, and on what hardware."""
    auto = " (auto)" if setting.precision == "auto" else ""
    done, asked = setting.photos, setting.photos_asked
    photos = "1 photo" if asked == 1 else f"{done} photos"
    if done < asked:
        photos = f"{done} of {asked} photos (stopped by the user)"
    return (
        f"{photos} at {setting.size} px; L-BFGS up to {setting.iterations} iterations; loss: {setting.objective} "
        f"({setting.perceptual}); reference network: {setting.reference}; the losses and L-BFGS ran on "
        f"{setting.device}, the style networks in ONNX Runtime on {setting.fast_device}, with {setting.threads} CPU "
        f"threads each; the slow curves are computed in {setting.slow_precision}{auto}, the losses of pictures in "
        "float32."
    )


def describe_shortfall(summary: Summary) -> list[str]:
    """Compare each network's medians with the slow result of most iterations, and name its artifacts, in sentences."""
    if not summary.slow:
        return []
    count, slow = list(summary.slow.items())[-1]
    lines = []
    for name, found in summary.fast.items():
        terms = ", ".join(
            f"{term} {found.measures.get(term).median:.3f} against {slow.get(term).median:.3f}"
            for term in ("loss", "content", "style", "ssim")
        )
        marked = [f"{field} {value:.2f} (threshold {limit})" for field, value, limit in list_artifacts(found.measures)]
        artifacts = f"above their thresholds: {', '.join(marked)}" if marked else "no artifact above its threshold"
        lines.append(f"{name} against {count} iterations from the photo: {terms}; {artifacts}.")
    return lines


def list_artifacts(measures: Measures[Spread]) -> list[tuple[str, float, float]]:
    """Return name, value and threshold of every artifact above its threshold.

    The median over the photos counts, but for artifacts of ``LARGEST_COUNTS`` the largest value.
    """
    values = {name: judge_artifact(name, measures.get(name)) for name in asdict(THRESHOLDS)}
    return [(name, values[name], limit) for name, limit in asdict(THRESHOLDS).items() if values[name] > limit]


def judge_artifact(name: str, spread: Spread) -> float:
    """Return the value of an artifact that is held against its threshold."""
    return spread.max if name in LARGEST_COUNTS else spread.median


def tabulate(summary: Summary, setting: Setting) -> str:
    """Lay the summary out for the terminal."""
    lines = ["                      L-BFGS iterations it equals        speed-up over    SSIM    covariance"]
    lines.append("network               from noise    from the photo      100 iterations           distance")
    for name, found in summary.fast.items():
        equivalents = [found.equivalent[start]["loss"] for start in STARTS]
        cells = [f"{'more than ' if 'median' in one.exceeded else ''}{one.median:.0f}" for one in equivalents]
        # A comparison of fewer iterations says nothing about a hundred.
        speedup = f"{found.speedup[100].median:.0f}" if 100 in found.speedup else "-"
        lines.append(
            f"{name:<22}{cells[0]:<14}{cells[1]:<20}{speedup:<17}"
            f"{found.measures.ssim.median:<8.3f}{found.measures.covariance_distance.median:.2f}"
        )
        artifacts = list_artifacts(found.measures)
        lines += [f"  {name}: {artifact} {value:.3f}, above {limit}" for artifact, value, limit in artifacts]
    if summary.slow:
        count, slow = list(summary.slow.items())[-1]
        title = f"slow, {count} from the photo"
        lines.append(f"{title:<73}{slow.ssim.median:<8.3f}{slow.covariance_distance.median:.2f}")
    lines.append(describe_distance(setting))
    return "\n".join(lines)


def arrange_pictures(results: Sequence[PhotoResult], painting: Picture) -> tuple[list[str], list[list[Picture]]]:
    """Choose the pictures of the contact sheet.

    Args:
        results: Photo by photo.
        painting: The style; it stands at the end of the first row.

    Returns:
        Titles of the columns, and for each photo its pictures.
    """
    counts = list(results[0].curves["photo"].pictures)
    nearest = [min(counts, key=lambda count: abs(count - shown)) for shown in SHOWN] if counts else []
    wanted = list(dict.fromkeys(nearest))
    models = list(results[0].fast)
    sheet = []
    for result in results:
        slow = result.curves["photo"].pictures
        fast = [result.fast[name].picture for name in models]
        sheet.append([result.original, *fast, *(slow[count] for count in wanted)])
    sheet[0].append(painting)
    return ["photo", *models, *(f"slow, {count}" for count in wanted), "style"], sheet


def draw_curves(result: PhotoResult) -> bytes:
    """Plot the loss over the iterations from either start, and each network's loss as a level; returns an SVG file."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for start, curve in result.curves.items():
        axes.plot(curve.losses["loss"], label=f"slow, from {start}")
    for number, (name, found) in enumerate(result.fast.items(), start=len(result.curves)):
        # Not the name alone: a label that begins with an underscore is left out of the legend.
        axes.axhline(found.measures.loss, color=f"C{number}", linestyle="--", label=f"fast, {name}")
    axes.set(xlabel="L-BFGS iterations", ylabel="loss", yscale="log")
    # Plain numbers: the losses lie within one or two powers of ten.
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6, 8)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    # Dollar signs in a network's name are no formula.
    with mpl.rc_context({"text.parse_math": False}):
        axes.legend()
    file = io.BytesIO()
    # Text stays text, and the same curves give the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "onestroke", "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _any_network(summary: Summary) -> FastSummary:
    return next(iter(summary.fast.values()))
