"""Sec. IV-C with numbers: trained models on walls degraded as the training never saw.

Result: one JSON per profile, data and seed, `results/<profile>/<data>/robustness/seed<n>.json`,
and beside it the masks that Fig. 16 shows, as a one-bit PNG."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from csbsr.data.synthetic import SyntheticCracks
from csbsr.degradation import downsample
from csbsr.metrics import THRESHOLDS, evaluate_batch, summarise
from csbsr.protocol import Protocol
from csbsr.realistic import STRENGTHS, realistic
from csbsr.study.experiments import experiment
from csbsr.study.freshness import fingerprint
from csbsr.study.profiles import Profile, load_profile
from csbsr.study.provenance import code_closure, digest, run_card
from csbsr.study.results import rounded, write_json
from csbsr.study.run import Context, Request, prepare
from csbsr.study.sources import data_name
from csbsr.study.steps import Plan, trained

SEED = 11
"""Seed of the walls, and of noise and motion on them."""


class Condition(NamedTuple):
    """A kind of `csbsr.realistic.STRENGTHS` and a strength 1 to 3; ("none", 0): reduction alone."""

    kind: str
    strength: int


CLEAN = Condition("none", 0)
CONDITIONS = (CLEAN, *(Condition(kind, s) for kind in STRENGTHS for s in (1, 2, 3)))


class Walls(NamedTuple):
    """N synthetic walls; `masks` (N, H, W) bool, `hr` (N, 3, H, W) in [0, 1]."""

    names: list[str]
    hr: Tensor
    masks: NDArray[np.bool_]


class ModelScores(NamedTuple):
    """One model under every condition, and its binary masks (N, H, W) where they are kept."""

    content: dict[str, object]
    masks: dict[Condition, NDArray[np.bool_]]


def walls_of(count: int, size: int) -> Walls:
    """The first `count` walls of the test split of seed 11, `size` x `size` pixels."""
    source = SyntheticCracks(count, size, seed=SEED, split="test")
    loaded = [source.load(i) for i in range(len(source))]
    hr = torch.from_numpy(np.stack([image for image, _ in loaded])).float() / 255
    return Walls(list(source.names), hr, np.stack([mask[0] for _, mask in loaded]))


def degraded(hr: Tensor, name: str, condition: Condition, protocol: Protocol) -> Tensor:
    """The LR image (3, H/4, W/4) of a wall (3, H, W) under a condition, in 8-bit steps."""
    if condition == CLEAN:
        lr = downsample(hr[None], 4, protocol.antialias)[0]  # (3, h, w)
        return torch.round(lr.clamp(0, 1) * 255) / 255
    return realistic(hr, *condition, SEED, name, protocol)


def lr_images(walls: Walls, condition: Condition, protocol: Protocol) -> Tensor:
    """All LR images (N, 3, h, w) of one condition; the same for every model."""
    pairs = zip(walls.hr, walls.names)
    return torch.stack([degraded(hr, name, condition, protocol) for hr, name in pairs])


@torch.inference_mode()
def probabilities(model: nn.Module, lr: Tensor, device: torch.device) -> NDArray[np.float32]:
    """Crack probabilities (N, H, W) of LR images (N, 3, h, w), four at a time."""
    model.eval()
    parts = [model(part.to(device)).prob[:, 0].float().cpu() for part in lr.split(4)]
    return torch.cat(parts).numpy()


def score(
    model: nn.Module,
    lr: dict[Condition, Tensor],
    masks: NDArray[np.bool_],
    protocol: Protocol,
    device: torch.device,
    keep: tuple[Condition, ...] = (),
) -> ModelScores:
    """Measure a model under every condition of `lr`, which starts with `CLEAN`.

    "IoU" and "HD95" are taken at the thresholds that are best on the clean images, as a user who
    cannot see the truth has to; "IoU_max" and "HD95_min" choose them anew under each condition.
    """
    rows, kept = [], {}
    at_iou = at_hd = 0
    for condition, images in lr.items():
        prob = probabilities(model, images, device)
        curves = evaluate_batch(prob, list(masks), THRESHOLDS, 95.0, protocol.empty_penalty)
        if condition == CLEAN:
            at_iou = int(curves.iou.mean(0).argmax())
            at_hd = int(curves.hausdorff.mean(0).argmin())
        best = summarise(curves.iou, curves.hausdorff, THRESHOLDS)
        values = {
            "IoU": curves.iou[:, at_iou].mean(),
            "IoU_max": best.iou_max,
            "AIU": best.aiu,
            "HD95": curves.hausdorff[:, at_hd].mean(),
            "HD95_min": best.hd95_min,
            "AHD95": best.ahd95,
        }
        row = {name: _rounded(v) for name, v in values.items()}
        rows.append(
            {"kind": condition.kind, "strength": condition.strength}
            | row
            | {"images_IoU": [_rounded(v) for v in curves.iou[:, at_iou]]}
        )
        if condition in keep:
            kept[condition] = prob > np.float32(THRESHOLDS[at_iou])
    limits = {"IoU": float(THRESHOLDS[at_iou]), "HD95": float(THRESHOLDS[at_hd])}
    return ModelScores({"thresholds": limits, "conditions": rows}, kept)


def _rounded(value: float) -> float | None:
    """Seven significant digits; None for an infinite distance."""
    return float(f"{value:.7g}") if np.isfinite(value) else None


SCHEMA = "robustness-1"
MODELS = ("dsrl", "srcnet", "kbpn+pspnet", "cssr-pspnet", "csbsr-pspnet")
"""Experiments compared: two earlier methods, independent, non-blind, and blind joint training."""
LEADING = "csbsr-pspnet"
"""Model whose IoU orders the walls and whose masks are kept for every condition."""
PICTURED = ("dsrl", "srcnet", LEADING)
"""Models of the paper's Fig. 16."""
FEWEST, MOST = 3, 32
"""Walls measured: half as many as the profile's synthetic test images, within these bounds."""
PICTURE = Condition("motion", 2)
"""Condition under which Fig. 16 chooses and shows its walls."""


def plan_of(request: Request) -> tuple[Context, Plan]:
    """The plan by which `csbsr run` trains, so that its finished folders are found again."""
    context = prepare(request)
    profile = context.profile
    runs = request.runs or request.results.parent / "runs"
    plan = Plan(
        profile=profile,
        protocol=context.protocol,
        seed=request.seed,
        device=context.device,
        train=context.train,
        data_hash=context.data_hash,
        natural=request.natural,
        folder=runs / profile.name / data_name(request.data) / f"seed{request.seed}",
        workers=request.workers,
        pretrained=profile.pretrained if request.pretrained is None else request.pretrained,
        precision=request.precision or profile.precision,
        compile=request.compile,
        quiet=True,
    )
    return context, plan


def trained_models(names: Sequence[str], request: Request) -> dict[str, nn.Module]:
    """Trained models by experiment, from their finished folders; trained first if need be."""
    plan = plan_of(request)[1]
    return {name: trained(experiment(name), plan).model for name in names}


def trained_model(name: str, request: Request) -> nn.Module:
    """The trained model of one experiment."""
    return trained_models([name], request)[name]


def measured_walls(profile: Profile) -> Walls:
    """The walls on which a profile is measured."""
    images = profile.images
    return walls_of(min(max(images.synthetic_test // 2, FEWEST), MOST), images.synthetic_size)


def robustness_path(request: Request) -> Path:
    """Where the result of a request lies (a folder of its own: it is no experiment's result)."""
    folder = request.results / request.profile / data_name(request.data) / "robustness"
    return folder / f"seed{request.seed}.json"


def read_robustness(path: Path) -> dict:
    """Read a robustness result; ValueError naming the file if it is damaged or of another kind."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"result {path} cannot be read ({error}); delete it") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError(f"result {path} is not of schema {SCHEMA}; delete it and run again")
    return content


def find_robustness(results: Path, profiles: Sequence[str], data: str | None = None) -> list[Path]:
    """Results of the first of these profiles that has any, seeds in order; real data first."""
    for profile in profiles:
        found = sorted((results / profile).glob(f"{data or '*'}/robustness/seed*.json"))
        found.sort(key=lambda p: (p.parts[-3] == "synthetic", p.parts[-3], len(p.name)))
        if found:
            return [p for p in found if p.parent == found[0].parent]
    return []


def robustness_key(profile: Profile, protocol: Protocol, seed: int, data_hash: str) -> str:
    """Hash of all that decides the numbers: the models, the walls, the degradations, the code."""
    models = [fingerprint(experiment(n), profile, protocol, seed, data_hash) for n in MODELS]
    code = code_closure(["csbsr.study.robustness"])
    rule = [SCHEMA, MODELS, CONDITIONS, PICTURE, FEWEST, MOST, SEED]
    return digest([rule, models, dict(STRENGTHS), code])


def is_robustness_stale(content: dict) -> bool:
    """Whether today's code, profile or experiments would give a result other numbers."""
    card = content["run_card"]
    try:
        profile = load_profile(content["profile"])
        protocol = profile.protocol(card["protocol"])
        key = robustness_key(profile, protocol, content["seed"], card["data_hash"])
    except (KeyError, ValueError):
        return True
    return key != card.get("fingerprint")


def chosen_walls(content: dict) -> list[int]:
    """Worst, median and best cracked wall by the leading model's IoU under `PICTURE`."""
    row = content["models"][LEADING]["conditions"][CONDITIONS.index(PICTURE)]
    cracked = [i for i, share in enumerate(content["walls"]["crack_share"]) if share > 0]
    order = sorted(cracked, key=lambda i: row["images_IoU"][i])
    return [order[0], order[len(order) // 2], order[-1]] if order else []


def run_robustness(request: Request, say: Callable[[str], None] = lambda line: None) -> Path:
    """Measure every model under every condition unless a fresh result is there; returns its file.

    Models come from the finished folders of their experiments; those not yet trained are trained.
    """
    context, plan = plan_of(request)
    path = robustness_path(request)
    key = robustness_key(context.profile, context.protocol, request.seed, context.data_hash)
    if path.exists() and path.with_suffix(".png").exists():
        try:
            if read_robustness(path)["run_card"]["fingerprint"] == key:
                return path
        except ValueError as error:
            say(f"{error}; running again")
    started = time.perf_counter()
    walls = measured_walls(context.profile)
    lr = {c: lr_images(walls, c, context.protocol) for c in CONDITIONS}
    models, strips = {}, {}
    for name in MODELS:
        keep = CONDITIONS if name == LEADING else (PICTURE,) if name in PICTURED else ()
        model = trained(experiment(name), plan).model.to(context.device)
        scores = score(model, lr, walls.masks, context.protocol, context.device, keep)
        models[name], strips[name] = scores.content, scores.masks
        say(f"robustness  {name}  {time.perf_counter() - started:.0f} s")
    card = run_card(
        profile=request.profile,
        protocol=context.protocol.name,
        seed=request.seed,
        data=data_name(request.data),
        data_hash=context.data_hash,
        seconds=time.perf_counter() - started,
        device=str(context.device),
    )
    shares = rounded(walls.masks.mean((1, 2)).tolist())
    content = {
        "schema": SCHEMA,
        "profile": request.profile,
        "seed": request.seed,
        "walls": {"names": walls.names, "seed": SEED, "crack_share": shares},
        "models": models,
        "run_card": card | {"fingerprint": key, "note": context.profile.note},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    _save_masks(path.with_suffix(".png"), strips, chosen_walls(content))
    write_json(path, content)
    return path


def _save_masks(
    path: Path, masks: dict[str, dict[Condition, NDArray[np.bool_]]], chosen: list[int]
) -> None:
    """One row per chosen wall: the pictured models under `PICTURE`, then every condition."""
    rows = []
    for i in chosen:
        compared = [masks[name][PICTURE][i] for name in PICTURED]
        every = [masks[LEADING][c][i] for c in CONDITIONS]
        rows.append(np.concatenate([*compared, *every], axis=1))
    Image.fromarray(np.concatenate(rows)).convert("1").save(path, optimize=True)
