"""Sec. IV-C with numbers: trained models on walls degraded as the training never saw.

Result: one JSON per profile, data and seed, `results/<profile>/<data>/robustness/seed<n>.json`,
and beside it the masks that Fig. 16 shows, as a one-bit PNG.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from csbsr.protocol import Protocol
from csbsr.realistic import STRENGTHS
from csbsr.reproduce.experiments import experiment
from csbsr.reproduce.profiles import Profile, load_profile
from csbsr.reproduce.provenance import code_closure, digest, run_card
from csbsr.reproduce.results import rounded, write_json
from csbsr.reproduce.robustness_scores import (
    CONDITIONS,
    SEED,
    Condition,
    Walls,
    lr_images,
    score,
    walls_of,
)
from csbsr.reproduce.run import Context, Request, fingerprint, prepare
from csbsr.reproduce.sources import data_name
from csbsr.reproduce.training_plan import Plan, train_experiment

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
    return {name: train_experiment(experiment(name), plan) for name in names}


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
    code = code_closure(["csbsr.reproduce.robustness_scores"])
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
        model = train_experiment(experiment(name), plan).to(context.device)
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
