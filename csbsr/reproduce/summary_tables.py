"""Two summaries: hyper-parameters of paper and profiles, and verdicts by part of the paper."""

import html
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from csbsr.protocol import PAPER, RELEASED
from csbsr.reproduce.claims import Result, evaluate_on_paper, evaluate_on_results
from csbsr.reproduce.display import table_html
from csbsr.reproduce.paper import Value, load_parameters
from csbsr.reproduce.paper_pages import PARTS, claims_of
from csbsr.reproduce.profiles import NAMES, Profile, load_profile
from csbsr.reproduce.verdicts import WORDS

OURS: Mapping[str, Callable[[Profile], object]] = {
    "hr_size": lambda p: p.images.synthetic_size,
    "training_images": lambda p: p.images.synthetic_train,
    "comparison_test_images": lambda p: p.images.synthetic_test,
    "iterations_step1": lambda p: p.step1.iterations,
    "iterations_step2": lambda p: p.step2.iterations,
    "iterations_step3": lambda p: p.step3.iterations,
    "batch": lambda p: p.step3.batch,
    "learning_rate_step1": lambda p: p.step1.lr_sr,
    "learning_rate_steps2and3": lambda p: p.step3.lr_sr,
}
"""Parameters that a profile changes, and where it keeps them; images are the synthetic ones."""


GIVEN = (
    "div2k_images", "flickr2k_images", "pretraining_images", "validation_images",
    "test_images", "real_images", "real_image_size",
)  # fmt: skip
"""Counts that depend on the folders a run is given, not on a profile."""
BETWEEN: Mapping[str, str] = {"blur_variance": " to ", "real_image_size": " × "}


def _text(value: Value | object, between: str = ", ") -> str:
    if isinstance(value, tuple):
        return between.join(map(_text, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return html.escape(str(value))
    if isinstance(value, float) and 0 < abs(value) < 1e-2:
        return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")
    return f"{value:,g}" if abs(value) < 1e6 else f"{value:,.0f}"


def hyperparameter_table() -> str:
    """HTML: every hyper-parameter that the paper states, its place, and the profiles' values."""
    profiles = [load_profile(name) for name in NAMES]
    rows = []
    for name, parameter in load_parameters().items():
        symbol = f" {parameter.symbol}" if parameter.symbol else ""
        unit = f" {parameter.unit}" if parameter.unit else ""
        label = html.escape(f"{name.replace('_', ' ')}{symbol}")
        ours = ["as given" if name in GIVEN else "the same"] * len(profiles)
        if name in OURS:
            ours = [_text(OURS[name](p)) for p in profiles]
        printed = _text(parameter.value, BETWEEN.get(name, ", "))
        rows.append([label, f"{printed}{html.escape(unit)}", parameter.place, *ours])
    header = ("Parameter", "Paper", "Place", *NAMES)
    return table_html(header, rows, caption="Hyper-parameters: paper, and the profiles of the book")


def protocol_table(names: Sequence[str]) -> str:
    """HTML: some options in which text and released code differ, in both protocols."""
    paper, released = PAPER.options(), RELEASED.options()
    rows = [
        [f"<code>{name}</code>", html.escape(str(paper[name])), html.escape(str(released[name]))]
        for name in names
    ]
    header = ("Option", "Paper's text", "Authors' code")
    return table_html(header, rows, caption="Where text and code of the setup differ")


def verdicts_by_part(results: Mapping[str, Sequence[Result]]) -> str:
    """HTML: for each part of the paper how many claims hold, by its numbers and by ours."""
    rows = []
    for part in PARTS:
        claims = claims_of(part)
        printed = Counter(evaluate_on_paper(claim).verdict for claim in claims)
        ours = Counter(evaluate_on_results(claim, results).verdict for claim in claims)
        cells = [str(count[word] or "–") for count in (printed, ours) for word in WORDS]
        del cells[3]  # nothing printed is "not run"
        rows.append([part, str(len(claims)), *cells])
    words = [word.replace("does not ", "does not<br>") for word in WORDS]
    header = (
        "Part", "Claims", *(f"{word}<br>(printed)" for word in words[:3]),
        *(f"{word}<br>(ours)" for word in words),
    )  # fmt: skip
    return table_html(header, rows, caption="Verdicts by part of the paper")
