"""What is said of the cracks of a photograph: a list, a table (CSV), lines for maps (GeoJSON)."""

import csv
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from csbsr.metrics.crack_lines import crack_lines
from csbsr.metrics.cracks import Crack

COLUMNS = (
    "photograph", "crack", "length", "mean_width", "maximum_width", "area", "length_mm",
    "mean_width_mm", "maximum_width_mm", "left", "top", "right", "bottom", "crack_share",
    "threshold", "model",
)  # fmt: skip
"""Of the table of cracks; lengths in pixels of the photograph."""


def crack_entries(
    cracks: Sequence[Crack], unit: float = 1.0, pixel_size: float | None = None
) -> list[dict]:
    """Box, lengths and area of the cracks of a mask, in their order.

    `unit`: pixels of the photograph per pixel of the mask; all numbers are in those, and in
    millimetres, too, where `pixel_size`, the side of a pixel of the photograph, is given.
    """
    return [_entry(number, crack, unit, pixel_size) for number, crack in enumerate(cracks, 1)]


def _entry(number: int, crack: Crack, unit: float, pixel_size: float | None) -> dict:
    lengths = {
        "length": crack.length,
        "mean_width": crack.mean_width,
        "maximum_width": crack.maximum_width,
    }
    box = (crack.left, crack.top, crack.right, crack.bottom)
    entry = {"crack": number, "box": [round(v * unit, 1) for v in box]}
    entry |= {"area": round(crack.area * unit**2, 2)}
    entry |= {name: round(value * unit, 2) for name, value in lengths.items()}
    if pixel_size:
        entry |= {f"{k}_mm": round(v * unit * pixel_size, 3) for k, v in lengths.items()}
    return entry


def geojson(
    content: dict, mask: NDArray[np.bool_], cracks: Sequence[Crack], unit: float = 1.0
) -> dict:
    """What the list of a photograph says as a FeatureCollection of centrelines, y downwards.

    GeoJSON as to its form; its numbers are pixels of the photograph and no degrees.
    """
    features = []
    for entry, crack in zip(content["cracks"], cracks):
        lines = [_points(line, unit) for line in crack_lines(mask, crack)]
        geometry = {"type": "MultiLineString", "coordinates": lines}
        features.append({"type": "Feature", "geometry": geometry, "properties": entry})
    facts = {name: value for name, value in content.items() if name not in ("cracks", "key")}
    return {"type": "FeatureCollection", "unit": "pixel", **facts, "features": features}


def _points(line: NDArray[np.int64], unit: float) -> list[list[float]]:
    """Pixels (rows, columns) as points x, y of the photograph; a single pixel as a line, too."""
    points = (np.fliplr(line + 0.5) * unit).round(2).tolist()
    return points if len(points) > 1 else 2 * points


def table_text(contents: Sequence[dict]) -> str:
    """All cracks as CSV, one line each; a photograph without any has one empty line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for content in contents:
        for crack in content["cracks"] or [{}]:
            box = dict(zip(("left", "top", "right", "bottom"), crack.get("box", ())))
            writer.writerow(content | crack | box)
    return text.getvalue()
