"""The page's colors can be told apart in the light and in the dark scheme."""

import re

import numpy as np
import pytest

from export.web.build import PAGE


def read_colors(scheme):
    """Read the scheme's custom properties, those that only the light one names included."""
    css = (PAGE / "style.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found if scheme == "light" else found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))


def luminance(color):
    """Return the relative luminance of WCAG 2.2."""
    values = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def contrast(one, other):
    darker, lighter = sorted(luminance(color) for color in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


# WCAG 2.2, success criteria 1.4.3 (text) and 1.4.11 (what shows a control, its state and the focus).
TEXT, CONTROL = 4.5, 3
PAIRS = [
    ("ink", "paper", TEXT),
    ("ink", "sheet", TEXT),
    ("ink", "well", TEXT),
    ("soft", "paper", TEXT),
    ("soft", "well", TEXT),
    ("accent", "paper", TEXT),
    ("error", "paper", TEXT),
    ("on-accent", "accent", TEXT),
    ("rail", "paper", CONTROL),
    ("sheet", "rail", CONTROL),
    ("sheet", "accent", CONTROL),
    ("focus", "paper", CONTROL),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS)
def test_contrast_is_what_readers_need(scheme, front, back, least):
    colors = read_colors(scheme)
    assert contrast(colors[front], colors[back]) >= least
