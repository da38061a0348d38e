"""The model that comes with the package: how it is trained, chosen and measured.

    make model                                    # from embedded pictures alone
    make model PHOTOS=khanhha                     # the threshold chosen on real photographs

It goes on where it was stopped, and the same seed gives the same weights. No photograph takes part
in the training. C (U-Net) learns on the pictures of `csbsr.data.walls`, a third of them sharp and
the others blurred, reduced and enlarged again, so that the model serves photographs with and
without super-resolution. Photographs, where some are given, choose the threshold (from the
training split) and measure the model (the test split); the file says so.
"""

import argparse
import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from csbsr.data.cracks import CrackFolder
from csbsr.data.memory import Memory
from csbsr.data.stream import CrackSource, CrackStream
from csbsr.data.synthetic import SyntheticCracks
from csbsr.data.walls import EASY, HARD, Look, Walls
from csbsr.degradation import degrade, kernel_for_image, random_kernels
from csbsr.evaluation import predict
from csbsr.inference.shipped import NAME, SHIPPED
from csbsr.metrics import THRESHOLDS, iou_curve
from csbsr.model_file import Threshold, save_model
from csbsr.networks.architecture import (
    Architecture,
    BicubicConfig,
    UNetConfig,
    build_model,
)
from csbsr.networks.blocks import enlarge
from csbsr.protocol import REPRODUCTION
from csbsr.study.provenance import run_card
from csbsr.training.config import StepConfig
from csbsr.training.trainer import train

SEED = 0
PROTOCOL = REPRODUCTION.but(name="shipped", blur_padding="reflect", kernel_weight=1000.0)
SIDE = 320
SEGMENTATION = UNetConfig(width=8)
ARCHITECTURE = Architecture(BicubicConfig(), SEGMENTATION)


class Lesson(NamedTuple):
    """One step of the training, on `pictures` of their own."""

    name: str
    look: Look
    pictures: int
    seed: int
    config: StepConfig

    def walls(self) -> Walls:
        """Its pictures."""
        return Walls(self.pictures, SIDE, self.seed, look=self.look)


FIRST = StepConfig(
    iterations=3000,
    batch=2,
    crop=144,
    train="segmentation",
    beta=1.0,
    loss="combo",
    lr_segmentation=1.2e-3,
    warmup=50,
    lr_decay="cosine",
    channels_last=True,
    checkpoint_every=200,
    log_every=50,
)
LESSONS = (
    Lesson("walls", EASY, 260, 0, FIRST),
    Lesson("walls-hard", HARD, 160, 1, replace(FIRST, iterations=1200, lr_segmentation=9e-4)),
)
"""Easy pictures first: a narrow network learns what a crack is before it learns what is none."""
KERNEL_SEED = 5
"""Test kernels as in every profile of the study."""
CHOOSING, TESTING = 32, 16
"""How many images the threshold is chosen on, and how many drawn ones measure the model."""
LIMITS = (
    "Trained on drawn walls and roads alone: no photograph was seen, so shadows, joints, edges of "
    "objects, cables and stains are taken for cracks, and what looks unlike the drawings is missed."
)


class Seen:
    """The pictures of a source as C meets them: sharp, or blurred, reduced and enlarged."""

    SHARP_EVERY = 3

    def __init__(self, source: CrackSource, seed: int) -> None:
        self.source, self.names, self.seed = source, source.names, seed
        self._memory = Memory(self._see, items=len(source.names))

    def load(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return picture `i` (3, H, W) uint8 and its mask (1, H, W) bool."""
        return self._memory(i)

    def _see(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.source.load(i)
        if i % self.SHARP_EVERY == 0:
            return image, mask
        kernel = random_kernels(1, np.random.default_rng([self.seed, 3, i]), PROTOCOL)
        hr = torch.from_numpy(image)[None].float() / 255
        seen = enlarge(degrade(hr, kernel, PROTOCOL), 4)[0].clamp(0, 1)
        return (seen * 255).round().byte().numpy(), mask


def mean_iou(model: nn.Module, source: CrackSource) -> NDArray[np.float64]:
    """Mean IoU over images at every threshold (T,), images and kernels as `evaluate` takes them."""
    curves = []
    for i, name in enumerate(source.names):
        image, mask = source.load(i)
        hr = torch.from_numpy(np.ascontiguousarray(image))[None].float() / 255
        kernel = kernel_for_image(KERNEL_SEED, name, PROTOCOL)[None]
        prob = predict(model, hr, kernel, PROTOCOL).prob[0, 0].numpy()
        curves.append(iou_curve(prob, mask[0]))
    return np.mean(curves, 0)


def trained(runs: Path) -> nn.Module:
    """C after its training, in the folder `runs`; what is done there is not done again."""
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = build_model(Architecture(None, SEGMENTATION, reads="hr"))
    for lesson in LESSONS:
        config, seen = lesson.config, Seen(lesson.walls(), lesson.seed)
        stream = CrackStream(
            seen, config.crop, config.batch, lesson.seed, PROTOCOL, False, step=lesson.name
        )
        folder = runs / lesson.name
        train(
            model,
            config,
            stream,
            seed=lesson.seed,
            protocol=PROTOCOL,
            folder=folder,
            title=lesson.name,
        )
    return model.segmentation


def seconds_of(log: Path) -> float:
    """Wall time of a training from its log, however often it was stopped."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    steps = np.diff([0, *(line["iteration"] for line in lines)])
    return float(sum(n / line["it_per_s"] for n, line in zip(steps, lines)))


def measured(
    model: nn.Module, name: str, source: CrackSource, threshold: float
) -> dict[str, object]:
    """What the header says of one set of images: blurred and reduced ("lr"), and sharp ("hr")."""
    sharp = build_model(Architecture(None, SEGMENTATION, reads="hr"))
    sharp.segmentation.load_state_dict(model.segmentation.state_dict())
    curves = {"lr": mean_iou(model, source), "hr": mean_iou(sharp, source)}
    at = int(np.abs(THRESHOLDS - threshold).argmin())
    return {
        "data": name,
        "images": len(source.names),
        **{f"IoU_{k}": round(float(curve[at]), 4) for k, curve in curves.items()},
        **{f"IoU_max_{k}": round(float(curve.max()), 4) for k, curve in curves.items()},
    }


def make(runs: Path, photographs: Path | None, output: Path) -> None:
    """Train, choose the threshold, measure; the file is written anew after every set of images."""
    model = build_model(ARCHITECTURE).eval()
    model.segmentation.load_state_dict(trained(runs).state_dict())
    model.half().float()  # as the file will hold it
    choosing: CrackSource = Walls(CHOOSING, 448, SEED, "validation")
    chosen_on = f"{CHOOSING} pictures of csbsr.data.walls that were not trained on"
    tests: list[tuple[str, CrackSource]] = [
        ("synthetic", SyntheticCracks(TESTING, 448, split="test")),
        ("walls", Walls(TESTING, 448, SEED, "test")),
    ]
    if photographs:
        choosing = CrackFolder(photographs, "train", count=CHOOSING)
        chosen_on = f"{CHOOSING} photographs of the training split of {photographs.name}"
        tests.insert(0, (photographs.name, CrackFolder(photographs, "test")))
    curve = mean_iou(model, choosing)
    threshold = Threshold(round(float(THRESHOLDS[curve.argmax()]), 2), "validation")
    card = run_card(
        profile="",
        protocol=PROTOCOL.name,
        seed=SEED,
        data="synthetic",
        data_hash=", ".join(lesson.walls().fingerprint() for lesson in LESSONS),
        seconds=sum(seconds_of(runs / lesson.name / "log.jsonl") for lesson in LESSONS),
        device="cpu",
    )
    del card["profile"]  # it belongs to none
    card |= {
        "experiment": NAME,
        "lessons": {
            lesson.name: {
                "pictures": lesson.pictures,
                "iterations": lesson.config.iterations,
                "batch": lesson.config.batch,
                "crop": lesson.config.crop,
            }
            for lesson in LESSONS
        },
        "threshold_chosen_on": chosen_on,
        "IoU_where_chosen": round(float(curve.max()), 4),
        "limits": LIMITS,
    }
    rows: list[dict[str, object]] = []
    for name, source in tests:
        rows.append(measured(model, name, source, threshold.value))
        save_model(
            output,
            copy.deepcopy(model).half(),
            architecture=ARCHITECTURE,
            protocol=PROTOCOL,
            run_card=card | {"measured": rows},
            threshold=threshold,
            licence="MIT",
        )
        print(json.dumps(rows[-1]), flush=True)


def main() -> None:
    """Train, measure and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/shipped"))
    parser.add_argument("--photographs", type=Path, help="folder in the Khanhha layout")
    parser.add_argument("--output", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    make(arguments.runs, arguments.photographs, arguments.output)


if __name__ == "__main__":
    main()
