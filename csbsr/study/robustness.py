"""Sec. IV-C with numbers: trained models on walls degraded as the training never saw.

Result: one JSON per profile, data, protocol and seed, in a folder `robustness` beside the results
of the experiments, `seed<n>.json`, and with it the masks that Fig. 16 shows, as a one-bit PNG."""

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
from csbsr.files import locked, replacing, write_json
from csbsr.metrics import THRESHOLDS, evaluate_batch, summarise
from csbsr.protocol import Protocol
from csbsr.realistic import STRENGTHS, realistic
from csbsr.study.digest import code_closure, digest
from csbsr.study.experiments import experiment
from csbsr.study.freshness import FoundResults, fingerprint, settings_of
from csbsr.study.profiles import Profile
from csbsr.study.recipe import Settings
from csbsr.study.record import rounded
from csbsr.study.results import ResultFile, folders, read_json
from csbsr.study.run import Context, Request, card_of, prepare
from csbsr.study.steps import trained

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


SCHEMA = "robustness-2"
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


def trained_models(names: Sequence[str], request: Request) -> dict[str, nn.Module]:
    """Trained models by experiment, from their finished folders; trained first if need be."""
    plan = prepare(request, names).plan
    return {name: trained(experiment(name), plan).model for name in names}


def measured_walls(profile: Profile) -> Walls:
    """The walls on which a profile is measured."""
    images = profile.images
    return walls_of(min(max(images.synthetic_test // 2, FEWEST), MOST), images.synthetic_size)


def robustness_path(context: Context) -> Path:
    """Where the result lies (a folder of its own: it is no experiment's result)."""
    return context.folder / "robustness" / f"seed{context.plan.seed}.json"


KEYS = {"schema": str, "profile": str, "protocol": str, "seed": int, "walls": dict}
KEYS |= {"models": dict, "run_card": dict}


def read_robustness(path: Path) -> dict:
    """Read a robustness result; ValueError naming the file if it is damaged or of another kind."""
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError(f"result {path} is not of schema {SCHEMA}; delete it and run again")
    for name, kind in KEYS.items():
        if type(content.get(name)) is not kind:
            raise ValueError(f"result {path} has no proper '{name}'; delete it and run again")
    try:
        _check_models(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"result {path} has no proper numbers ({error}); delete it and run again"
        ) from error
    own = (content["profile"], content["protocol"], f"seed{content['seed']}.json")
    folders = path.absolute().parts
    if own != (folders[-5], folders[-3], folders[-1]):
        raise ValueError(f"result {path} belongs to {'/'.join(own)}; delete it and run again")
    return content


def _check_models(content: dict) -> None:
    walls = content["walls"]
    _numbers(walls["crack_share"], len(walls["names"]), 1.0)
    for name in MODELS:
        model = content["models"][name]
        _numbers([model["thresholds"][key] for key in ("IoU", "HD95")], 2, 1.0)
        places = [(row["kind"], row["strength"]) for row in model["conditions"]]
        if places != list(CONDITIONS):
            raise ValueError(f"the conditions of {name} are others")
        for row in model["conditions"]:
            _numbers([row[key] for key in ("IoU", "IoU_max", "AIU")], 3, 1.0)
            _numbers([row[key] for key in ("HD95", "HD95_min", "AHD95")], 3, np.inf)
            _numbers(row["images_IoU"], len(walls["names"]), 1.0)


def _numbers(values: list, length: int, most: float) -> None:
    for value in values:
        if value is not None and (type(value) not in (int, float) or not 0 <= value <= most):
            raise ValueError(f"{value!r:.40} is not in 0..{most:g}")
    if len(values) != length:
        raise ValueError(f"{len(values)} values instead of {length}")


def find_fresh_robustness(
    results: Path, profiles: Sequence[str], data: str | None = None, protocol: str | None = None
) -> FoundResults:
    """Robustness in the first of these profiles that has a fresh one, by the name "robustness".

    Seeds in order; all are of one data set and protocol, as `find_fresh` chooses them.
    """
    stale: list[ResultFile] = []
    problems: list[str] = []
    for profile in profiles:
        for folder in folders(results / profile, data, protocol):
            fresh = []
            paths = (folder / "robustness").glob("seed*.json")
            for path in sorted(paths, key=lambda p: (len(p.name), p.name)):
                try:
                    result = ResultFile(path, read_robustness(path))
                except ValueError as error:
                    problems.append(str(error))
                    continue
                (stale if is_robustness_stale(result.content) else fresh).append(result)
            if fresh:
                found = {"robustness": stale} if stale else {}
                return FoundResults({"robustness": fresh}, found, tuple(problems))
    return FoundResults({}, {"robustness": stale} if stale else {}, tuple(problems))


def robustness_key(settings: Settings) -> str:
    """Hash of all that decides the numbers: the models, the walls, the degradations, the code."""
    models = [fingerprint(experiment(name), settings) for name in MODELS]
    roots = ["csbsr.realistic", "csbsr.metrics", "csbsr.degradation", "csbsr.data.synthetic"]
    rule = [SCHEMA, MODELS, CONDITIONS, PICTURE, FEWEST, MOST, SEED]
    images = settings.profile.images
    rule += [images.synthetic_test, images.synthetic_size]
    return digest(
        [_plain(rule), models, dict(STRENGTHS), code_closure(roots, ["csbsr.study.robustness"])]
    )


def _plain(rule: Sequence[object]) -> list[object]:
    return [_plain(item) if isinstance(item, tuple) else item for item in rule]


def is_robustness_stale(content: dict) -> bool:
    """Whether today's code, profile or experiments would give a result other numbers."""
    try:
        key = robustness_key(settings_of(ResultFile(Path(), content)))
    except (KeyError, TypeError, ValueError):
        return True
    return key != content["run_card"].get("fingerprint")


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
    context = prepare(request, MODELS)
    path, key = robustness_path(context), robustness_key(context.plan)
    if _is_there(path, key, say):
        return path
    with locked(path.with_name(f".{path.name}.lock"), "robustness"):
        if not _is_there(path, key, lambda line: None):
            _measure(path, key, context, say)
    return path


def _is_there(path: Path, key: str, say: Callable[[str], None]) -> bool:
    if not (path.exists() and path.with_suffix(".png").exists()):
        return False
    try:
        return read_robustness(path)["run_card"].get("fingerprint") == key
    except ValueError as error:
        say(f"{error}; running again")
        return False


def _measure(path: Path, key: str, context: Context, say: Callable[[str], None]) -> None:
    plan, wall, cpu = context.plan, time.perf_counter(), time.process_time()
    walls = measured_walls(plan.profile)
    lr = {c: lr_images(walls, c, plan.protocol) for c in CONDITIONS}
    models, strips = {}, {}
    for name in MODELS:
        keep = CONDITIONS if name == LEADING else (PICTURE,) if name in PICTURED else ()
        model = trained(experiment(name), plan).model.to(plan.device)
        scores = score(model, lr, walls.masks, plan.protocol, plan.device, keep)
        models[name], strips[name] = scores.content, scores.masks
        say(f"robustness  {name}  {time.perf_counter() - wall:.0f} s")
    spent = time.perf_counter() - wall, time.process_time() - cpu
    shares = rounded(walls.masks.mean((1, 2)).tolist())
    content = {
        "schema": SCHEMA,
        "profile": plan.profile.name,
        "protocol": plan.protocol.name,
        "seed": plan.seed,
        "walls": {"names": walls.names, "seed": SEED, "crack_share": shares},
        "models": models,
        "run_card": card_of(context, key, *spent, natural=True),
    }
    _save_masks(path.with_suffix(".png"), strips, chosen_walls(content))
    write_json(path, content)


def _save_masks(
    path: Path, masks: dict[str, dict[Condition, NDArray[np.bool_]]], chosen: list[int]
) -> None:
    """One row per chosen wall: the pictured models under `PICTURE`, then every condition."""
    rows = []
    for i in chosen:
        compared = [masks[name][PICTURE][i] for name in PICTURED]
        every = [masks[LEADING][c][i] for c in CONDITIONS]
        rows.append(np.concatenate([*compared, *every], axis=1))
    with replacing(path) as temporary:
        Image.fromarray(np.concatenate(rows)).convert("1").save(temporary, optimize=True)
