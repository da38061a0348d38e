"""The experiments of Tables II-VI: one trained configuration each, defined once, trained once."""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

SRNetwork = Literal["kbpn", "dbpn", "srcnet", "dsrl"]
SegmentationNetwork = Literal["pspnet", "hrnet", "crackformer", "unet", "segnet", "dsrl"]
SFT = Literal["modified", "original"]
Coupling = Literal["joint", "independent", "detached"]

M_SEARCH = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Candidates for m^C and m^F (Sec. IV-B-2): 2^-3 .. 2^3."""


@dataclass(frozen=True)
class Experiment:
    """One row of a table: two networks, how they are coupled, and the loss that trains them."""

    id: str
    title: str
    sr: SRNetwork | None = "kbpn"
    """Super-resolution network S; None segments the HR image itself."""
    segmentation: SegmentationNetwork = "pspnet"
    """Segmentation network C."""
    coupling: Coupling = "joint"
    """joint: Eq. 2; independent: S frozen in step 3; detached: S trains on L_S alone (control)."""
    beta: float | Literal["increasing"] = 0.3
    """Task weight beta of Eq. 2 in step 3."""
    loss: Literal["bc", "gbc", "bgdice", "combo", "dice", "wce", "bce"] = "bc"
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
    starts_from: str | None = None
    """Finished experiment whose weights this one continues (blur skip)."""

    @property
    def baseline(self) -> str:
        """Experiment that this one is tested against, image by image.

        A joint model against its independent counterpart, every variant against plain CSBSR.
        """
        if self.id in ("csbsr-pspnet", "cssr-pspnet", "detached-pspnet"):
            return "dbpn+pspnet" if self.sr == "dbpn" else "kbpn+pspnet"
        if self.id == f"csbsr-{self.segmentation}":
            return f"kbpn+{self.segmentation}"
        return "cssr-pspnet" if self.id.startswith("cssr-") else "csbsr-pspnet"

    @property
    def uses_sr(self) -> bool:
        """Whether an SR image is produced and measured."""
        return self.sr is not None


def _comparison() -> list[Experiment]:
    """Table II."""
    independent = {"coupling": "independent", "beta": 0.3}
    rows = [
        Experiment("hr-pspnet", "Segmentation in HR", sr=None, coupling="independent"),
        Experiment(
            "srcnet", "SrcNet", sr="srcnet", segmentation="segnet", loss="bce", **independent
        ),
        Experiment("dsrl", "DSRL", sr="dsrl", segmentation="dsrl", loss="bce"),
    ]
    for key, name, beta in (
        ("pspnet", "PSPNet", 0.3),
        ("hrnet", "HRNet+OCR", 0.9),
        ("crackformer", "CrackFormer", 0.9),
        ("unet", "U-Net", 0.3),
    ):
        rows += [
            Experiment(f"kbpn+{key}", f"KBPN + {name}", segmentation=key, **independent),
            Experiment(f"csbsr-{key}", f"CSBSR w/ {name}", segmentation=key, beta=beta),
        ]
    return rows


def _betas() -> list[Experiment]:
    """Table III, without the rows that Table II holds already."""
    rows = []
    for sr, prefix, name, published in (
        ("kbpn", "csbsr", "CSBSR", 0.3),
        ("dbpn", "cssr", "CSSR", 0.7),
    ):
        if sr == "dbpn":
            rows.append(
                Experiment("dbpn+pspnet", "DBPN + PSPNet", sr="dbpn", coupling="independent")
            )
            rows.append(Experiment("cssr-pspnet", "CSSR w/ PSPNet", sr="dbpn", beta=published))
        for beta in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0):
            if beta != published:
                title = f"{name}, beta {beta}"
                rows.append(Experiment(f"{prefix}-pspnet-beta{beta}", title, sr=sr, beta=beta))
        rows.append(
            Experiment(
                f"{prefix}-pspnet-increasing", f"{name}, increasing beta", sr=sr, beta="increasing"
            )
        )
    return rows


def _losses() -> list[Experiment]:
    """Table IV, without BC."""
    names = {
        "gbc": "GBC loss",
        "wce": "WCE",
        "dice": "Dice",
        "combo": "Combo",
        "bgdice": "Boundary + GDice",
    }
    return [Experiment(f"csbsr-pspnet-{k}", name, loss=k) for k, name in names.items()]


def _weights() -> list[Experiment]:
    """Table V with the whole search over m."""
    base = Experiment("csbsr-pspnet", "CSBSR")
    rows = [
        replace(base, id="csbsr-pspnet-wLC", title="CSBSR w/ L_C on L_S", segmentation_on_sr=True)
    ]
    for m in M_SEARCH:
        rows += [
            replace(base, id=f"csbsr-pspnet-wC{m:g}", title=f"w^C, m = {m:g}", crack_weight=m),
            replace(base, id=f"csbsr-pspnet-wF{m:g}", title=f"w^F, m = {m:g}", fail_weight=m),
            replace(
                base,
                id=f"csbsr-pspnet-wF{m:g}-LC",
                title=f"w^F on L_C, m = {m:g}",
                fail_weight_on_segmentation=m,
            ),
        ]
    return rows


def _blur_skip() -> list[Experiment]:
    """Table VI, and the control arm that the paper lacks."""
    return [
        Experiment(
            "csbsr-pspnet-blurskip",
            "CSBSR w/ KS",
            blur_skip="modified",
            starts_from="csbsr-pspnet",
        ),
        Experiment(
            "csbsr-pspnet-blurskip-wF1",
            "CSBSR w/ KS and m^F = 1",
            fail_weight=1.0,
            blur_skip="modified",
            starts_from="csbsr-pspnet-wF1",
        ),
        Experiment(
            "csbsr-pspnet-blurskip-wF1-original-sft",
            "CSBSR w/ KS (original SFT) and m^F = 1",
            fail_weight=1.0,
            blur_skip="original",
            starts_from="csbsr-pspnet-wF1",
        ),
        Experiment(
            "detached-pspnet",
            "KBPN + PSPNet, S trains on without the gradient of L_C",
            coupling="detached",
        ),
    ]


def experiments() -> tuple[Experiment, ...]:
    """All experiments, each once, in the order of the tables."""
    return (*_comparison(), *_betas(), *_losses(), *_weights(), *_blur_skip())


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
