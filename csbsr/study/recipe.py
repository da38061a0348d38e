"""What decides the weights of a network: settings, networks, widths and code, and nothing else.

Steps name their folders by it, and results carry it in their fingerprint.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from csbsr.networks.architecture import Architecture
from csbsr.protocol import Protocol
from csbsr.study.digest import code_closure
from csbsr.study.models import SEGMENTATION_MODULES, SR_MODULES
from csbsr.study.profiles import Profile
from csbsr.training.config import StageConfig

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

    def adapted(self, stage: StageConfig) -> StageConfig:
        """A step with the precision and compilation of this run."""
        return replace(stage, precision=self.precision, compile=self.compile)


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
    return [*roots, *(["csbsr.networks.blur_skip"] if architecture.blur_skip else ())]


BUILDERS = ("csbsr.networks.architecture", "csbsr.networks.joint", "csbsr.study.models")
"""They import every network and use the one that is asked for."""


def options(protocol: Protocol) -> dict[str, object]:
    """The choices of a protocol; its name decides nothing."""
    return {name: value for name, value in protocol.options().items() if name != "name"}


def recipe(
    architecture: Architecture, stages: Sequence[StageConfig], settings: Settings, natural: bool
) -> dict[str, object]:
    """All that decides the weights that some steps leave; `natural`: step 1 is one of them."""
    roots = ["csbsr.training.trainer", *network_modules(architecture)]
    roots += image_modules(settings.data)
    alone = [*BUILDERS, "csbsr.study.steps"]
    if natural:
        given = settings.natural_hash != EMBEDDED
        roots.append("csbsr.data.cracks" if given else "csbsr.data.natural")
        alone += ["csbsr.data.natural"] if given else []
    return {
        "architecture": architecture,
        "steps": [settings.adapted(stage).identity() for stage in stages],
        "protocol": options(settings.protocol),
        "seed": settings.seed,
        "data": settings.data_hash,
        "natural": settings.natural_hash if natural else None,
        "pretrained": settings.pretrained if architecture.segmentation else None,
        "code": code_closure(roots, alone),
    }
