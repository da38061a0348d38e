"""Sec. III-A and III-E: which half learns when, the schedules, a real log, and who feels L_C."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csbsr.networks.architecture import build_model
from csbsr.protocol import PRINTED, RELEASED
from csbsr.study.experiments import experiment
from csbsr.study.kept_logs import STEPS, Log, kept_path, logs_below, read_kept
from csbsr.study.models import architecture_of
from csbsr.study.profiles import Profile, Schedule, load_profile
from csbsr.study.run import run_experiments
from csbsr.study.sources import data_name
from csbsr.study.steps import last_step, log_of
from csbsr.training.objective import Images, Objective
from csbsr.training.schedules import alpha_scaled, beta_at, learning_rate
from csbsr_book.chapters.example_crack import example_crack
from csbsr_book.site.display import data_words
from csbsr_book.site.drawing import (
    FEATURES,
    KERNEL,
    NORMAL,
    PLAIN,
    SEGMENTATION,
    SR,
    box,
    canvas,
    words,
)
from csbsr_book.site.study import StudyChapter
from csbsr_book.site.table import Table
from csbsr_book.site.theme import nothing_here, stamp


def steps_figure(profile: Profile) -> Figure:
    """Which parts learn in Steps 1 to 3 and with the blur skip, lengths from a profile."""
    figure, axes = canvas(3.3)
    wide = (
        (1.45, profile.step1, "Step 1", "natural images"),
        (3.3, profile.step2, "Step 2", "cracks"),
    )
    columns = []
    for left, step, name, data in wide:
        words(axes, (left + 0.86, 2.98), name, size=NORMAL, bold=True)
        words(axes, (left + 0.86, 2.66), f"{step.iterations:,} iterations\n{data}")
        for i, phase in enumerate(("K given", "K only", "all")):
            columns.append((left + 0.28 + 0.58 * i, 0.54, phase))
    for x, step, name, data in (
        (5.6, profile.step3, "Step 3", "cracks"),
        (6.64, profile.blur_skip, "blur skip", "cracks"),
    ):
        words(axes, (x, 2.98), name, size=NORMAL, bold=True)
        words(axes, (x, 2.66), f"{step.iterations:,}\n{data}")
        columns.append((x, 0.9, ""))
    learns = {
        "$S$, image part": (SR, "101101 1 0"),
        "$S$, kernel part": (KERNEL, "011011 1 0"),
        "$C$": (SEGMENTATION, "------ 1 0"),
        "blur skip": (FEATURES, "------ - 1"),
    }
    for x, _, phase in columns:
        words(axes, (x, 2.32), phase, colour="#5b6470")
    for row, (name, (look, pattern)) in enumerate(learns.items()):
        y = 1.98 - 0.5 * row
        words(axes, (0.12, y), name, across="left", size=NORMAL)
        for (x, width, _), state in zip(columns, pattern.replace(" ", "")):
            if state == "-":
                words(axes, (x, y), "–", colour="#5b6470")
            else:
                word, kind = ("learns", look) if state == "1" else ("waits", PLAIN)
                box(axes, (x, y), (width, 0.38), word, kind, dashed=state == "0")
    return figure


def schedules_figure(profile: Profile, points: int = 600) -> Figure:
    """Learning rate, beta and alpha over all three steps of a profile."""
    steps = [getattr(profile, name) for name in STEPS]
    ends = np.cumsum([0, *(step.iterations for step in steps)])
    figure, axes = plt.subplots(3, 1, figsize=(7.2, 5.2), sharex=True)
    for number, (step, start) in enumerate(zip(steps, ends), start=1):
        inside = np.linspace(0, step.iterations - 1, points).astype(int)
        x = (start + inside) / 1000
        _shade(axes, start / 1000, (start + step.iterations) / 1000, number)
        axes[0].plot(x, [_rate(step, int(i)) for i in inside], color=SR.line)
        if number < 3:
            axes[1].plot(x, np.zeros(points), color="#333333")
            continue
        for beta, protocol, line, label in (
            (0.3, PRINTED, "-", "constant 0.3"),
            ("increasing", PRINTED, "--", "increasing, paper"),
            ("increasing", RELEASED, ":", "increasing, authors' code"),
        ):
            values = [beta_at(int(i), step.iterations, beta, protocol) for i in inside]
            axes[1].plot(x, values, line, color="#333333", label=label)
        alpha = [alpha_scaled(int(i), step.iterations) for i in inside]
        axes[2].plot(x, alpha, color=SEGMENTATION.line, drawstyle="steps-post")
    rates = sorted({step.lr_sr for step in steps})
    axes[0].set(ylabel="learning rate of $S$", yscale="log")
    axes[0].set_yticks(rates, [f"{rate:.0e}".replace("e-0", "e-") for rate in rates], minor=False)
    axes[0].set_yticks([], minor=True)
    axes[1].set(ylabel=r"$\beta$ (Eq. 2)", ylim=(-0.05, 1.05))
    axes[1].legend(loc="upper left")
    axes[2].set(ylabel=r"$\alpha$ (Eq. 3)", ylim=(-0.05, 1.05), xlabel="thousand iterations")
    return figure


def _rate(step: Schedule, iteration: int) -> float:
    return learning_rate(iteration, step.iterations, step.lr_sr, step.warmup, step.decay)


def _shade(axes: np.ndarray, left: float, right: float, number: int) -> None:
    for ax in axes:
        ax.axvspan(left, right, color="#eef1f4" if number % 2 else "#ffffff", lw=0, zorder=0)
    axes[0].annotate(
        f"Step {number}", ((left + right) / 2, 1.02), xycoords=("data", "axes fraction"),
        ha="center", fontsize=8.5,
    )  # fmt: skip


class FoundLogs(NamedTuple):
    """Logs by step, of which run in words, and whether it is a smoke run."""

    steps: Mapping[str, Log]
    run: str
    smoke: bool


def training_logs(chapter: StudyChapter, name: str) -> FoundLogs:
    """Logs of an experiment's steps: of a run that counts if one is kept, else of this page.

    Smoke is trained once more where it left no log; of a larger profile, whose runs do not travel,
    a log that is not there is left out.
    """
    for result in chapter.measured().fresh.get(name, ()):
        kept = kept_path(result.path)
        if kept.is_file():
            run = f"{result.content['profile']}, {data_words(result.card)}, seed {result.seed}"
            return FoundLogs(read_kept(kept), run, False)
    chapter.measure([name])
    row = experiment(name)
    runs = chapter.results_folder.parent / "runs"
    folder = runs / chapter.profile.name / data_name(chapter.data) / f"seed{chapter.seed}"
    if log_of(row, folder) is None and chapter.smoke:
        with tempfile.TemporaryDirectory() as spare:
            again = replace(chapter.request, results=Path(spare), runs=runs)
            run_experiments([name], again, quiet=True)
    run = f"{chapter.profile.name}, {data_name(chapter.data)}, seed {chapter.seed}"
    return FoundLogs(logs_below(row, folder), run, chapter.smoke)


def log_words(found: FoundLogs) -> tuple[str, str]:
    """Caption and alternative text of `log_figure`, from what is in the logs."""
    lengths, told = [], []
    for step, log in found.steps.items():
        lengths.append(f"{step.replace('step', 'Step ')} of {log['iteration'][-1]:,.0f} iterations")
        for name, label in (("L_S", "SR loss"), ("L_C", "segmentation loss")):
            values = log.get(name, np.array([np.nan]))
            values = values[~np.isnan(values)]
            if values.size > 1:
                told.append(f"{label} in {step} from {values[0]:.3g} to {values[-1]:.3g}")
    caption = (
        f"Loss terms, weights and learning rates of one run ({found.run}), from its log: "
        f"{', '.join(lengths) or 'no log is there'}. The steps follow each other; alpha and beta "
        "exist in Step 3 only."
    )
    alt = f"Four stacked plots over the iterations of the steps. {'; '.join(told) or 'Empty'}."
    return caption, alt


def log_figure(logs: Mapping[str, Log], *, watermark: str = "") -> Figure:
    """Loss terms, alpha, beta and learning rates over the iterations of a real run."""
    figure, axes = plt.subplots(4, 1, figsize=(7.2, 7.2), sharex=True, height_ratios=(3, 2, 2, 2))
    lines = {
        "L_S": (0, "$\\mathcal{L}_S$", SR.line, "-"),
        "L_S_hr": (0, "its HR term", SR.line, "--"),
        "L_S_lr": (0, "its LR term", SR.line, ":"),
        "L_C": (1, "$\\mathcal{L}_C$", SEGMENTATION.line, "-"),
        "alpha": (2, r"$\alpha$", SEGMENTATION.line, "--"),
        "beta": (2, r"$\beta$", "#333333", "-"),
        "lr_sr": (3, "of $S$", SR.line, "-"),
        "lr_segmentation": (3, "of $C$", SEGMENTATION.line, "--"),
    }
    start, seen = 0.0, set()
    for number, log in enumerate(logs.values(), start=1):
        x = start + log["iteration"]
        _shade(axes, start, x[-1], number)
        for name, (place, label, colour, line) in lines.items():
            if name not in log or np.isnan(log[name]).all():
                continue
            shown = label if label not in seen else None
            axes[place].plot(x, log[name], line, color=colour, label=shown, marker=".", ms=4)
            seen.add(label)
        start = x[-1]
    for ax, label in zip(axes, ("SR loss", "segmentation loss", "weights", "learning rate")):
        ax.set_ylabel(label)
        if ax.lines:
            ax.legend(loc="best", ncols=3)
        else:
            nothing_here(ax, "no log of this run on this machine")
    axes[0].set_yscale("log")
    axes[-1].set_xlabel("iterations, steps one after the other")
    stamp(figure, watermark)
    return figure


def gradient_table(seed: int = 0) -> Table:
    """The size of the gradient on S and on C for each way of coupling the two.

    One batch of two synthetic crops, networks at smoke widths with random weights; the numbers
    mean nothing, whether they are zero does.
    """
    profile = load_profile("smoke")
    protocol = profile.protocol("reproduction")
    example = example_crack(size=128, seed=seed)
    kernel = torch.ones(2, 1, 21, 21) / 441
    images = Images(*(t.expand(2, -1, -1, -1) for t in example[:3]), kernel)
    rows = []
    for label, change in (
        ("independent: S frozen", {"coupling": "independent"}),
        ("joint, beta = 0", {"beta": 0.0}),
        ("joint, beta = 0.3", {"beta": 0.3}),
        ("joint, beta = 1", {"beta": 1.0}),
        ("detached, beta = 1", {"coupling": "detached", "beta": 1.0}),
    ):
        row = replace(experiment("csbsr-pspnet"), **change)
        stage = last_step(row, profile, protocol).config
        torch_state = torch.random.get_rng_state()
        torch.manual_seed(seed)
        model = build_model(architecture_of(row, profile, protocol))
        step = Objective(model, stage, protocol)
        if not stage.trains_sr:
            model.sr.requires_grad_(False)
        loss, _ = step(images, 0.0, float(row.beta), False)
        loss.backward()
        torch.random.set_rng_state(torch_state)
        rows.append([label, *(_size(half) for half in (model.sr, model.segmentation))])
    columns = ["Training", "Gradient on S", "Gradient on C"]
    return Table("Norm of the gradient of one step, random weights.", columns, rows)


def _size(half: torch.nn.Module) -> float:
    grads = [p.grad.square().sum() for p in half.parameters() if p.grad is not None]
    return float(torch.stack(grads).sum().sqrt()) if grads else 0.0
