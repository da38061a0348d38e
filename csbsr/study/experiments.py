"""The experiments of Tables II-VI, their controls, bounds and baselines: one trained model each."""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Literal

SRNetwork = Literal["kbpn", "dbpn", "dbpn_wide", "srcnet", "bicubic", "dsrl"]
SegmentationNetwork = Literal[
    "pspnet", "hrnet", "crackformer", "unet", "segnet", "dsrl", "darkness", "otsu"
]
SFT = Literal["modified", "original"]
Coupling = Literal["joint", "independent", "detached"]
Kind = Literal["bound", "baseline", "independent", "joint", "control", "variant"]
Loss = Literal["bc", "gbc", "bgdice", "combo", "boundary", "dice", "gdice", "wce", "bce"]

M_SEARCH = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Candidates for m^C and m^F (Sec. IV-B-2): 2^-3 .. 2^3."""


@dataclass(frozen=True)
class Experiment:
    """One trained configuration: two networks, how they are coupled, the loss that trains them."""

    id: str
    title: str
    kind: Kind
    """bound: what the method cannot pass, or what nobody should fall below; baseline: another
    method; independent, joint: the two arms of the paper; control: takes one thing away that could
    explain a gain; variant: CSBSR or CSSR with one choice changed."""
    baseline: str | None = None
    """Experiment that this one is contrasted with, seed by seed and image by image."""
    sr: SRNetwork | None = "kbpn"
    """Super-resolution network S; None segments the image as it is."""
    reads: Literal["lr", "hr"] = "lr"
    """The image that the model is given; "hr" only without S."""
    kernel: Literal["estimate", "true", "constant"] = "estimate"
    """Where KBPN's kernel comes from, in training and at test (true: an oracle)."""
    segmentation: SegmentationNetwork = "pspnet"
    """Segmentation network C; darkness and otsu learn nothing."""
    coupling: Coupling = "joint"
    """joint: Eq. 2; independent: S frozen in step 3; detached: S trains on L_S alone (control)."""
    beta: float | Literal["increasing"] = 0.3
    """Task weight beta of Eq. 2 in step 3."""
    loss: Loss = "bc"
    """Segmentation loss L_C."""
    crack_weight: float | None = None
    """m^C of Eq. 9, None without w^C."""
    fail_weight: float | None = None
    """m^F of Eq. 10 on L_S, None without w^F."""
    fail_weight_on_segmentation: float | None = None
    """m^F of Eq. 10 on L_C, None without it."""
    segmentation_on_sr: bool = False
    """Weight L_S by L_C (Sec. III-C)."""
    blur_skip: SFT | None = None
    """Blur skip of Sec. III-D with the modified or the original SFT."""
    shuffled_kernel: bool = False
    """Give the blur skip the kernel of another image of the batch (control)."""
    starts_from: str | None = None
    """Finished experiment whose weights this one continues."""

    @property
    def learns(self) -> bool:
        """Whether anything is trained."""
        return self.segmentation not in ("darkness", "otsu")


CSBSR = Experiment("csbsr-pspnet", "CSBSR w/ PSPNet", "joint", "kbpn+pspnet")
"""The paper's method; Tables III to VI vary it."""

KBPN_PSPNET = Experiment(
    "kbpn+pspnet", "KBPN + PSPNet", "independent", "dbpn+pspnet", coupling="independent"
)
"""The same two networks, trained one after the other."""


def _variant(name: str, title: str, **changes: object) -> Experiment:
    """CSBSR with one choice changed."""
    base = replace(CSBSR, kind="variant", baseline=CSBSR.id)
    return replace(base, id=f"csbsr-pspnet-{name}", title=title, **changes)


def _arm(name: str, title: str, kind: Kind, baseline: str | None, **changes: object) -> Experiment:
    """PSPNet behind another S, trained after it."""
    return replace(KBPN_PSPNET, id=name, title=title, kind=kind, baseline=baseline, **changes)


def _comparison() -> list[Experiment]:
    """Table II."""
    rows = [
        _arm("hr-pspnet", "Segmentation in HR", "bound", "csbsr-pspnet", sr=None, reads="hr"),
        _arm(
            "srcnet", "SrcNet", "baseline", "csbsr-pspnet",
            sr="srcnet", segmentation="segnet", loss="bce",
        ),
        Experiment(
            "dsrl", "DSRL", "baseline", "csbsr-pspnet", sr="dsrl", segmentation="dsrl", loss="bce"
        ),
    ]  # fmt: skip
    for key, name, beta in (
        ("pspnet", "PSPNet", 0.3),
        ("hrnet", "HRNet+OCR", 0.9),
        ("crackformer", "CrackFormer", 0.9),
        ("unet", "U-Net", 0.3),
    ):
        against = "dbpn+pspnet" if key == "pspnet" else "kbpn+pspnet"
        independent = f"kbpn+{key}"
        rows += [
            _arm(independent, f"KBPN + {name}", "independent", against, segmentation=key),
            replace(
                CSBSR, id=f"csbsr-{key}", title=f"CSBSR w/ {name}", baseline=independent,
                segmentation=key, beta=beta,
            ),
        ]  # fmt: skip
    return rows


def _betas() -> list[Experiment]:
    """Table III, without the rows that Table II holds already."""
    cssr = Experiment("cssr-pspnet", "CSSR w/ PSPNet", "joint", "dbpn+pspnet", sr="dbpn", beta=0.7)
    rows = [
        _arm("dbpn+pspnet", "DBPN + PSPNet", "independent", "bicubic+pspnet", sr="dbpn"),
        cssr,
    ]
    for base, name in ((CSBSR, "CSBSR"), (cssr, "CSSR")):
        for beta in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0, "increasing"):
            if beta == base.beta:
                continue
            suffix = beta if beta == "increasing" else f"beta{beta}"
            title = f"{name}, {'increasing beta' if beta == 'increasing' else f'beta {beta}'}"
            rows.append(
                replace(
                    base, id=f"{base.id}-{suffix}", title=title, kind="variant",
                    baseline=base.id, beta=beta,
                )
            )  # fmt: skip
    return rows


def _losses() -> list[Experiment]:
    """Table IV, without BC; each term of BC and GBC alone; and BCE, which SrcNet and DSRL use."""
    names = {
        "gbc": "GBC loss",
        "wce": "WCE",
        "dice": "Dice",
        "combo": "Combo",
        "bgdice": "Boundary + GDice",
        "boundary": "Boundary alone",
        "gdice": "GDice alone",
        "bce": "CSBSR with BCE",
    }
    return [_variant(key, name, loss=key) for key, name in names.items()]


def _weights() -> list[Experiment]:
    """Table V with the whole search over m."""
    rows = [_variant("wLC", "CSBSR w/ L_C on L_S", segmentation_on_sr=True)]
    for m in M_SEARCH:
        rows += [
            _variant(f"wC{m:g}", f"w^C, m = {m:g}", crack_weight=m),
            _variant(f"wF{m:g}", f"w^F, m = {m:g}", fail_weight=m),
            _variant(f"wF{m:g}-LC", f"w^F on L_C, m = {m:g}", fail_weight_on_segmentation=m),
        ]
    return rows


def _blur_skip() -> list[Experiment]:
    """Table VI and its controls: a kernel that says nothing, and as much training without skip."""
    skip = {"blur_skip": "modified", "starts_from": CSBSR.id}
    with_fail = {"fail_weight": 1.0, "starts_from": "csbsr-pspnet-wF1"}
    return [
        _variant("blurskip", "CSBSR w/ KS", **skip),
        _variant(
            "blurskip-wF1", "CSBSR w/ KS and m^F = 1", blur_skip="modified", **with_fail
        ),
        _variant(
            "blurskip-wF1-original-sft", "CSBSR w/ KS (original SFT) and m^F = 1",
            blur_skip="original", **with_fail,
        ),
        replace(
            _variant("blurskip-shuffled", "CSBSR w/ KS, kernel of another image", **skip),
            kind="control", baseline="csbsr-pspnet-blurskip", shuffled_kernel=True,
        ),
        replace(
            _variant("continued", "CSBSR trained on, without skip", starts_from=CSBSR.id),
            kind="control",
        ),
    ]  # fmt: skip


def _controls() -> list[Experiment]:
    """Bounds, trivial baselines and controls that the paper lacks."""
    no_training = {"loss": "bce", "segmentation": "darkness"}
    return [
        _arm("darkness-hr", "Darkness of HR", "bound", None, sr=None, reads="hr", **no_training),
        _arm("darkness", "Darkness of bicubic LR", "bound", None, sr="bicubic", **no_training),
        _arm(
            "otsu", "Otsu of bicubic LR", "bound", None,
            sr="bicubic", loss="bce", segmentation="otsu",
        ),
        _arm("bicubic+pspnet", "Bicubic + PSPNet", "bound", "darkness", sr="bicubic"),
        _arm("lr+pspnet", "PSPNet on LR", "bound", "bicubic+pspnet", sr=None),
        _arm("dbpn-wide+pspnet", "DBPN as costly as KBPN + PSPNet", "control", "dbpn+pspnet",
             sr="dbpn_wide"),
        _arm("kbpn-constant+pspnet", "KBPN, one kernel for all + PSPNet", "control", "kbpn+pspnet",
             kernel="constant"),
        _arm("kbpn-true+pspnet", "KBPN, true kernel + PSPNet", "bound", "kbpn+pspnet",
             kernel="true"),
        replace(CSBSR, id="csbsr-pspnet-true-kernel", title="CSBSR, true kernel", kind="bound",
                baseline=CSBSR.id, kernel="true"),
        replace(CSBSR, id="detached-pspnet", kind="control", coupling="detached",
                title="KBPN + PSPNet, S trains on without the gradient of L_C"),
        replace(CSBSR, id="detached-dbpn-pspnet", kind="control", coupling="detached", sr="dbpn",
                baseline="dbpn+pspnet",
                title="DBPN + PSPNet, S trains on without the gradient of L_C"),
        _arm("srcnet-bc", "SrcNet with BC", "control", "srcnet",
             sr="srcnet", segmentation="segnet"),
        _arm("srcnet+pspnet", "SrcNet's S + PSPNet, BC", "control", "srcnet-bc", sr="srcnet"),
        Experiment("dsrl-bc", "DSRL with BC", "control", "dsrl", sr="dsrl", segmentation="dsrl"),
    ]  # fmt: skip


WATERFALL = ("srcnet", "srcnet-bc", "srcnet+pspnet", "dbpn+pspnet", "kbpn+pspnet", "csbsr-pspnet")
"""From SrcNet to CSBSR with one factor changed at a time: loss, C, S, blind S, joint."""


@cache
def experiments() -> tuple[Experiment, ...]:
    """All experiments, each once, in the order of the tables, controls last."""
    groups = (_comparison, _betas, _losses, _weights, _blur_skip, _controls)
    return tuple(row for group in groups for row in group())


def experiment(name: str) -> Experiment:
    """The experiment with this id; ValueError with the nearest names otherwise."""
    known = {e.id: e for e in experiments()}
    if name not in known:
        near = get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`csbsr run` lists them all"
        raise ValueError(f"experiment '{name}' is unknown; {hint}")
    return known[name]


def with_ancestors(names: tuple[str, ...] | list[str]) -> list[str]:
    """The given ids and those they start from, parents first, each once."""
    ordered: list[str] = []
    for name in names:
        parent = experiment(name).starts_from
        for item in [*(with_ancestors([parent]) if parent else []), name]:
            if item not in ordered:
                ordered.append(item)
    return ordered
