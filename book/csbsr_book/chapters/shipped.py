"""The model that comes with the package: its card, its numbers, how it behaves at the limits."""

import json
from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import Tensor

from csbsr.data.synthetic import SyntheticCracks
from csbsr.data.walls import Walls
from csbsr.inference import segment_photograph
from csbsr.inference.batch import overlay
from csbsr.inference.shipped import SHIPPED, load_shipped
from csbsr.metrics import iou_curve
from csbsr.model_file import LoadedModel
from csbsr.study.provenance import repository_root
from csbsr.study.shipped import LESSONS
from csbsr_book.site.exhibit import CaptionedFigure
from csbsr_book.site.table import Column, Number, Table

READS = ("benchmarks/results/photographs.json", "csbsr/inference/shipped.safetensors")
SHOWN = 4
"""Pictures of each kind: the best and the worst of the first so many."""
LOOKED_AT = 12


@cache
def shipped() -> LoadedModel:
    """The model, read once."""
    return load_shipped()


def card_table() -> Table:
    """What the file says of itself."""
    model = shipped()
    card = model.run_card
    networks = model.architecture.to_dict()
    named = " + ".join(
        f"{part['network']}{f' of width {width}' if (width := part.get('width')) else ''}"
        for part in (networks["sr"], networks["segmentation"])
    )
    size = SHIPPED.stat().st_size
    parameters = sum(value.numel() for value in model.module.parameters())
    rows = [
        ["networks", named],
        ["parameters", Number(parameters, digits=0)],
        ["size of the file", Number(size / 1e6, digits=2, shown=f"{size / 1e6:.2f} MB")],
        *(
            [
                f"training, {name}",
                f"{lesson['iterations']:,} iterations of {lesson['batch']} crops of "
                f"{lesson['crop']} pixels from {lesson['pictures']} drawn pictures",
            ]
            for name, lesson in card["lessons"].items()
        ),
        ["seed", str(card["seed"])],
        [
            "cost",
            f"{card['seconds'] / 60:.0f} min of wall time on one busy core ({card['hardware']})",
        ],
        ["commit", str(card["commit"]["id"])],
        ["threshold", Number(model.threshold.value, digits=2)],
        ["threshold chosen on", str(card["threshold_chosen_on"])],
        ["licence", model.licence],
    ]
    return Table("Run card of the model that ships, from the header of its file.", ["", ""], rows)


def measured_table() -> Table:
    """IoU on synthetic and on real test images, from the header."""
    rows = [
        [
            row["data"],
            row["images"],
            Number(row["IoU_lr"], "ours"),
            Number(row["IoU_max_lr"], "ours"),
            Number(row["IoU_hr"], "ours"),
            Number(row["IoU_max_hr"], "ours"),
        ]
        for row in shipped().run_card["measured"]
    ]
    columns = [
        "Test images",
        Column("Images", digits=0),
        Column("IoU", note="blurred and reduced, model's threshold", digits=3),
        Column("IoU max", note="blurred and reduced, best threshold", digits=3),
        Column("IoU", note="sharp (--hr), model's threshold", digits=3),
        Column("IoU max", note="sharp (--hr), best threshold", digits=3),
    ]
    return Table("IoU of the model that ships, as its header says.", columns, rows)


def training_pictures(count: int = 10) -> CaptionedFigure:
    """The first pictures that C was trained on, with their masks."""
    walls = Walls(count, 448, seed=LESSONS[-1].seed)
    columns = count // 2
    figure, axes = plt.subplots(4, columns, figsize=(1.5 * columns, 6.0))
    for i in range(count):
        pixels, mask = walls.load(i)
        row = 2 * (i // columns)
        for ax, seen in zip(axes[row : row + 2, i % columns], (pixels.transpose(1, 2, 0), mask[0])):
            ax.imshow(seen, cmap="gray")
            ax.set_axis_off()
    caption = (
        f"The first {count} pictures of csbsr.data.walls, without any choice, above their masks."
    )
    alt = (
        "Drawn walls and roads in many colours and lights, from near and far, some out of focus, "
        "with cracks from hairlines to gaps, each above its mask."
    )
    return CaptionedFigure(figure, caption, alt)


def limit_pictures(side: int = 96) -> dict[str, Tensor]:
    """Photographs without any crack at the limits of what a wall looks like, (3, h, w) each."""
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(0, 0.01, (3, side, side))).float()
    ramp = torch.linspace(0.1, 0.9, side).expand(3, side, side)
    half = torch.full((3, side, side), 0.6)
    texture = torch.from_numpy(rng.uniform(-0.15, 0.15, (1, side, side // 2))).float()
    half[:, :, side // 2 :] += texture
    grey = torch.full((3, side, side), 0.5)
    return {
        "constant grey": grey,
        "plain wall with the noise of a sensor": (grey + noise).clamp(0, 1),
        "brightness ramp": (ramp + noise).clamp(0, 1),
        "half plain, half rough": (half + noise).clamp(0, 1),
    }


def limits_table() -> Table:
    """What the model marks where there is nothing, and how much of that lies at the frame."""
    model, rows = shipped(), []
    for name, image in limit_pictures().items():
        cells: list[object] = [name]
        for hr in (False, True):
            prob = segment_photograph(model.module, image, hr=hr).prob[0]
            marked = prob > model.threshold.value
            rim = marked.clone()
            edge = 16 if not hr else 4
            rim[edge:-edge, edge:-edge] = False
            cells += [100 * marked.float().mean().item(), 100 * rim.float().mean().item()]
        rows.append(cells)
    columns = [
        "Photograph without a crack",
        Column("marked", unit="%", note="with super-resolution", digits=2),
        Column("of which at the frame", unit="%", note="with super-resolution", digits=2),
        Column("marked", unit="%", note="--hr", digits=2),
        Column("of which at the frame", unit="%", note="--hr", digits=2),
    ]
    caption = "Share of pixels that the model takes for crack where there is none."
    return Table(caption, columns, rows)


def successes_and_failures() -> CaptionedFigure:
    """Best and worst of the first synthetic test photographs, by a rule."""
    model, scored = shipped(), []
    sources: Mapping[str, SyntheticCracks | Walls] = {
        "study": SyntheticCracks(LOOKED_AT, 448, split="test"),
        "walls": Walls(LOOKED_AT, 448, split="test"),
    }
    for name, source in sources.items():
        for i in range(len(source)):
            pixels, mask = source.load(i)
            if not mask.any():
                continue
            image = torch.from_numpy(pixels).float() / 255
            prob = segment_photograph(model.module, image, hr=True).prob[0].numpy()
            at = iou_curve(prob, mask[0])[round(100 * model.threshold.value) - 1]
            scored.append((float(at), name, pixels, mask[0], prob > model.threshold.value))
    scored.sort(key=lambda entry: entry[0])
    shown = [*scored[-1 : -SHOWN // 2 - 1 : -1], *scored[: SHOWN // 2]]
    figure, axes = plt.subplots(3, len(shown), figsize=(1.8 * len(shown), 5.4))
    for (score, name, pixels, mask, found), column in zip(shown, axes.T):
        picture = pixels.transpose(1, 2, 0)
        for ax, seen in zip(column, (picture, mask, overlay(picture, found))):
            ax.imshow(seen, cmap="gray")
            ax.set_axis_off()
        column[0].set_title(f"{name}, IoU {score:.2f}", fontsize=9)
    values = ", ".join(f"{entry[0]:.2f}" for entry in shown)
    caption = (
        f"Rule: of the first {LOOKED_AT} synthetic test photographs of the study and of the first "
        f"{LOOKED_AT} of csbsr.data.walls that have a crack, the two with the highest and the two "
        "with the lowest IoU at the model's threshold, without super-resolution. From top: "
        "photograph, truth, and what the model marks in red."
    )
    alt = (
        f"Four synthetic walls in columns, each with its true mask and an overlay. IoU: {values}; "
        "the first two are found nearly whole, the last two hardly."
    )
    return CaptionedFigure(figure, caption, alt)


def _measured_once() -> Mapping[str, dict]:
    path = repository_root() / "benchmarks" / "results" / "photographs.json"
    return json.loads(path.read_text(encoding="utf-8"))


def memory_table() -> Table:
    """Memory and time of large photographs, measured by the benchmark."""
    rows = [
        [
            f"{row['width']} x {row['height']}, {row['width'] * row['height'] / 1e6:.1f} MP",
            "--hr" if row["hr"] else "four times enlarged",
            row["peak_mib"],
            row["seconds"],
        ]
        for row in _measured_once()["memory"].values()
    ]
    columns = [
        "Photograph",
        "How",
        Column("Peak of memory", unit="MiB", digits=0),
        Column("Processor time", unit="s", digits=0),
    ]
    caption = "`csbsr segment` with the model that ships, one thread, all files written."
    return Table(caption, columns, rows)


def tiles_table() -> Table:
    """What tiles change for a network that pools over the whole image."""
    row = _measured_once()["tiles"]
    rows = [
        ["mean difference of the probability", Number(row["mean_difference"], digits=4)],
        ["largest difference", Number(row["largest_difference"], digits=3)],
        [
            "pixels whose class changes",
            Number(
                100 * row["changed_share"], digits=2, shown=f"{100 * row['changed_share']:.2f} %"
            ),
        ],
        ["IoU between the two masks", Number(row["mask_iou"], digits=3)],
    ]
    caption = (
        f"PSPNet with trained weights ({row['experiment']}, {row['profile']}, trained on "
        f"{row['data']}, seed {row['seed']}): tiles against the whole image, {row['walls']} "
        f"synthetic walls of {row['side']} x {row['side']} pixels."
    )
    return Table(caption, ["", ""], rows)
