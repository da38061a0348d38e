"""A threshold slider that works without a kernel: levels, curves and a few lines of script."""

import base64

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from csbsr.metrics import THRESHOLDS, threshold_curves
from csbsr_book.site.display import render


def threshold_slider(
    prob: NDArray[np.float64],
    target: NDArray[np.bool_],
    *,
    caption: str,
    alt: str,
    size: int = 96,
    label: str = "threshold-slider",
) -> Markup:
    """Return HTML with a slider over the 99 thresholds for the part around the best-known crack.

    prob (H, W) in [0, 1], target (H, W) binary. The size x size crop with the most crack pixels is
    measured and drawn; the curves are those of the crop. Keyboard: the arrow keys move the slider.
    ValueError: see `csbsr.metrics.checks`, or an image smaller than the crop.
    """
    height, width = target.shape
    if min(height, width) < size:
        raise ValueError(f"image {height} x {width} is smaller than the {size} x {size} crop")
    area = np.pad(np.cumsum(np.cumsum(target, 0), 1), ((1, 0), (1, 0)))
    inside = area[size:, size:] - area[:-size, size:] - area[size:, :-size] + area[:-size, :-size]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    window = slice(top, top + size), slice(left, left + size)
    p, g = np.asarray(prob[window], np.float32), np.asarray(target[window], bool)
    levels = (p[..., None] > THRESHOLDS.astype(np.float32)).sum(-1).astype(np.uint8)
    full, half = (threshold_curves(p, g, percentile=percentile) for percentile in (95, 50))
    data = {
        "levels": base64.b64encode(levels.tobytes()).decode(),
        "target": base64.b64encode(np.packbits(g).tobytes()).decode(),
        "iou": full.iou.round(4).tolist(),
        "hd95": full.hausdorff.round(2).tolist(),
        "hd50": half.hausdorff.round(2).tolist(),
    }
    rows = (
        f"{THRESHOLDS[k]:.2f}: IoU {full.iou[k]:.3f}, HD95 {full.hausdorff[k]:.1f} px"
        for k in (9, 29, 49, 69, 89)
    )
    return render(
        "slider.html",
        id=label,
        width=size,
        height=size,
        alt=alt,
        caption=caption,
        noscript="The slider needs JavaScript. At some thresholds: " + "; ".join(rows) + ".",
        data=data,
    )
