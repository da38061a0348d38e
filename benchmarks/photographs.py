"""Large photographs: memory and time of `csbsr segment`, and what tiles change for PSPNet.

    python benchmarks/photographs.py memory 6000 4000 --hr      # with the model that ships
    python benchmarks/photographs.py memory 1500 1000
    python benchmarks/photographs.py tiles RUN/model.safetensors

One thread. `memory` draws a synthetic wall, segments it in a process of its own and keeps
processor seconds and the peak of resident memory. `tiles` compares a network with global context
on whole synthetic walls with its tiles. Results go to results/photographs.json, each beside the
others.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from csbsr.data.synthetic import crack_photograph
from csbsr.inference.segmenter import segment_photograph
from csbsr.model_file import load_model

RESULT = Path(__file__).parent / "results" / "photographs.json"
WALLS, SIDE = 2, 896
"""Walls on which tiles are compared, and their side: twice the side of the training images."""


def wall_file(path: Path, width: int, height: int) -> None:
    """A photograph of any size: one synthetic wall of 1000 pixels, repeated by reflection."""
    tile, _ = crack_photograph(np.random.default_rng(0), 1000)
    pixels = tile.transpose(1, 2, 0)
    rows, columns = height - 1000, width - 1000
    pads = ((0, max(rows, 0)), (0, max(columns, 0)), (0, 0))
    Image.fromarray(np.pad(pixels, pads, mode="symmetric")[:height, :width]).save(path)


def memory(width: int, height: int, hr: bool) -> dict[str, object]:
    """Segment one photograph with the model that ships; peak memory in MiB, processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        photo, out = Path(folder) / "wall.png", Path(folder) / "out"
        wall_file(photo, width, height)
        code = (
            "import resource, sys; from csbsr.cli import main; code = main(sys.argv[1:]); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, code)"
        )
        command = [sys.executable, "-c", code, "segment", str(photo), "--output", str(out)]
        command += ["--device", "cpu", *(["--hr"] if hr else [])]
        reply = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak, code = map(int, reply.split()[-2:])
    if code:
        sys.exit(f"csbsr segment ended with {code}")
    return {
        "width": width,
        "height": height,
        "hr": hr,
        "peak_mib": peak,
        "seconds": round(spent.ru_utime + spent.ru_stime),
    }


def tiles(path: Path) -> dict[str, object]:
    """Probabilities of tiles against those of the whole image, for a model without S."""
    model = load_model(path)
    if model.architecture.sr is not None:
        sys.exit("give a model that segments HR images (hr-pspnet): SR adds nothing to this")
    threshold = model.threshold.value if model.threshold else 0.5
    mean, most, changed, agreement = [], [], [], []
    for number in range(WALLS):
        picture, _ = crack_photograph(np.random.default_rng([1, number]), SIDE)
        image = torch.from_numpy(picture).float() / 255
        with torch.no_grad():
            whole = model.module(image[None]).prob[0]
        seen = segment_photograph(model.module, image).prob
        difference = (whole - seen).abs()
        mean.append(difference.mean().item())
        most.append(difference.max().item())
        one, other = whole > threshold, seen > threshold
        changed.append((one != other).float().mean().item())
        agreement.append(((one & other).sum() / (one | other).sum().clamp(min=1)).item())
    return {
        "experiment": model.experiment,
        "profile": model.run_card.get("profile"),
        "data": model.run_card.get("data"),
        "seed": model.run_card.get("seed"),
        "walls": WALLS,
        "side": SIDE,
        "mean_difference": round(float(np.mean(mean)), 5),
        "largest_difference": round(max(most), 4),
        "changed_share": round(float(np.mean(changed)), 5),
        "mask_iou": round(float(np.mean(agreement)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    large = kinds.add_parser("memory")
    large.add_argument("width", type=int)
    large.add_argument("height", type=int)
    large.add_argument("--hr", action="store_true")
    kinds.add_parser("tiles").add_argument("model", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {"memory": {}, "tiles": None}
    if arguments.kind == "tiles":
        known["tiles"] = tiles(arguments.model)
    else:
        name = f"{arguments.width}x{arguments.height}{' --hr' if arguments.hr else ''}"
        known["memory"][name] = memory(arguments.width, arguments.height, arguments.hr)
    known["machine"] = {
        "cpu": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "threads": 1,
    }
    RESULT.write_text(json.dumps(known, indent=2) + "\n")
    print(json.dumps(known, indent=2))


if __name__ == "__main__":
    main()
