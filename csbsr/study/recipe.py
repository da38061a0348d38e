"""What decides the weights of a network: settings, networks, widths and code, and nothing else.

Steps name their folders by it, and results carry it in their fingerprint.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol as Interface

from csbsr.networks.architecture import Architecture
from csbsr.protocol import Protocol
from csbsr.study.digest import code_closure
from csbsr.study.models import SEGMENTATION_MODULES, SR_MODULES
from csbsr.study.profiles import Profile
from csbsr.training.config import StepConfig

EMBEDDED = "synthetic"
"""Name of the images that come with the package, cracks and natural textures."""


@dataclass(frozen=True)
class Settings:
    """All that decides the numbers of a run besides the experiment and the code."""

    profile: Profile
    protocol: Protocol
    seed: int
    data: str
    """Name of the data set; "synthetic" for the embedded one."""
    data_hash: str
    """Hash over the contents of its images and masks."""
    natural_hash: str
    """Hash over the contents of the natural images; "synthetic" for the embedded textures."""
    pretrained: bool
    precision: str
    compile: bool

    def arithmetic(self, config: StepConfig) -> StepConfig:
        """A step's settings with the precision and compilation of this run."""
        return replace(config, precision=self.precision, compile=self.compile)


def image_modules(data: str) -> list[str]:
    """The modules that make or read the crack images of a data set."""
    return ["csbsr.data.synthetic" if data == EMBEDDED else "csbsr.data.cracks"]


def network_modules(architecture: Architecture) -> list[str]:
    """The modules that hold the networks of an architecture."""
    roots = ["csbsr.networks.blocks"]
    if architecture.sr:
        roots += SR_MODULES[architecture.sr.network]
    if architecture.segmentation:
        roots += SEGMENTATION_MODULES[architecture.segmentation.network]
    if architecture.sr is None and architecture.reads == "lr":
        roots.append("csbsr.networks.trivial")  # enlarges what was found in the LR image
    return [*roots, *(["csbsr.networks.blur_skip"] if architecture.blur_skip else ())]


BUILDERS = ("csbsr.networks.architecture", "csbsr.networks.joint", "csbsr.study.models")
"""They import every network and use the one that is asked for."""


def options(protocol: Protocol) -> dict[str, object]:
    """The choices of a protocol; its name decides nothing."""
    return {name: value for name, value in protocol.options().items() if name != "name"}


class Step(Interface):
    """What of a training step decides weights: its data (by name and kind) and its settings."""

    name: str
    config: StepConfig
    natural: bool


def recipe(
    architecture: Architecture, steps: Sequence[Step], settings: Settings
) -> dict[str, object]:
    """All that decides the weights that some steps leave in the networks of an architecture."""
    roots = [*network_modules(architecture), *image_modules(settings.data)]
    roots += ["csbsr.training.trainer"] if steps else []
    alone = [*BUILDERS, "csbsr.study.steps"]
    natural = any(step.natural for step in steps)
    if natural:
        given = settings.natural_hash != EMBEDDED
        roots.append("csbsr.data.cracks" if given else "csbsr.data.natural")
        alone += ["csbsr.data.natural"] if given else []
    return {
        "architecture": architecture,
        "steps": [[s.name, s.natural, settings.arithmetic(s.config).identity()] for s in steps],
        "protocol": options(settings.protocol),
        "seed": settings.seed,
        "data": settings.data_hash,
        "natural": settings.natural_hash if natural else None,
        "pretrained": settings.pretrained if architecture.segmentation else None,
        "code": code_closure(roots, alone),
    }
