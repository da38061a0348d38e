"""A threshold slider that works without a kernel: levels, curves and a few lines of script."""

import base64
import html
import json

import numpy as np
from numpy.typing import NDArray

from csbsr.metrics import THRESHOLDS, threshold_curves

_TEMPLATE = """
<figure class="csbsr-figure threshold-slider" id="@ID@" style="max-width: 22rem">
<canvas width="@WIDTH@" height="@HEIGHT@" role="img" aria-label="@ALT@" style="width: 100%;
image-rendering: pixelated; border: 1px solid #888; background: #fff"></canvas>
<div><label for="@ID@-range">Threshold <output for="@ID@-range">0.50</output></label>
<input type="range" id="@ID@-range" min="0.01" max="0.99" step="0.01" value="0.5"
style="width: 100%; min-height: 2rem" aria-describedby="@ID@-values"></div>
<svg viewBox="0 0 198 50" preserveAspectRatio="none" aria-hidden="true" style="width: 100%;
height: 4rem; background: #fff; border: 1px solid #888">
<polyline fill="none" stroke="#0072b2" stroke-width="1.5" vector-effect="non-scaling-stroke"/>
<polyline fill="none" stroke="#b3470e" stroke-width="1.5" stroke-dasharray="5 3"
vector-effect="non-scaling-stroke"/>
<line y1="0" y2="50" stroke="#333" vector-effect="non-scaling-stroke"/></svg>
<div id="@ID@-values" aria-live="polite" style="font-variant-numeric: tabular-nums"></div>
<noscript>@NOSCRIPT@</noscript>
<figcaption style="line-height: 1.7">@CAPTION@ Colours:
<span style="border-bottom: .25em solid #0072b2">found</span>,
<span style="border-bottom: .25em solid #d55e00">missed</span>,
<span style="border-bottom: .25em solid #f0c24b">invented</span>.
Curves: IoU (solid) and HD95 (dashed), each scaled to its own maximum.</figcaption>
</figure>
<script>
(() => {
  const data = @DATA@, root = document.getElementById("@ID@");
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const levels = bytes(data.levels), target = bytes(data.target);
  const canvas = root.querySelector("canvas"), context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  const colours = [[255, 255, 255], [240, 194, 75], [213, 94, 0], [0, 114, 178]];
  const range = root.querySelector("input"), output = root.querySelector("output");
  const values = document.getElementById("@ID@-values"), mark = root.querySelector("line");
  const lines = root.querySelectorAll("polyline");
  const plot = (line, y) => {
    const top = Math.max(...y) || 1;
    line.setAttribute("points", y.map((v, k) => 2 * k + "," + (48 - 46 * v / top)).join(" "));
  };
  plot(lines[0], data.iou);
  plot(lines[1], data.hd95);
  const draw = () => {
    const k = Math.round(100 * range.value) - 1;
    for (let n = 0; n < levels.length; n++) {
      const real = target[n >> 3] >> (7 - (n & 7)) & 1;
      const colour = colours[2 * real + (levels[n] > k ? 1 : 0)];
      picture.data.set([...colour, 255], 4 * n);
    }
    context.putImageData(picture, 0, 0);
    mark.setAttribute("x1", 2 * k);
    mark.setAttribute("x2", 2 * k);
    output.textContent = (0.01 * (k + 1)).toFixed(2);
    values.textContent = "IoU " + data.iou[k].toFixed(3) + ", HD95 " + data.hd95[k].toFixed(1) +
      " px, HD50 " + data.hd50[k].toFixed(1) + " px";
    range.setAttribute("aria-valuetext", output.textContent + ": " + values.textContent);
  };
  range.addEventListener("input", draw);
  draw();
})();
</script>
"""


def threshold_slider(
    prob: NDArray[np.float64],
    target: NDArray[np.bool_],
    *,
    caption: str,
    alt: str,
    size: int = 96,
    label: str = "threshold-slider",
) -> str:
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
    parts = {
        "@ID@": html.escape(label),
        "@WIDTH@": str(size),
        "@HEIGHT@": str(size),
        "@ALT@": html.escape(alt),
        "@CAPTION@": html.escape(caption),
        "@NOSCRIPT@": "The slider needs JavaScript. At some thresholds: " + "; ".join(rows) + ".",
        "@DATA@": json.dumps(data, separators=(",", ":")),
    }
    text = _TEMPLATE
    for name, value in parts.items():
        text = text.replace(name, value)
    return text.strip()
