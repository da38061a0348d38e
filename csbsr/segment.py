"""Photographs into files: crack mask, super-resolved image, overlay and blur kernel of each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from csbsr.inference import overlay, read_photograph, segment_photograph
from csbsr.model_file import LoadedModel


def segment_files(
    images: Sequence[Path],
    model: LoadedModel,
    output: Path,
    threshold: float | None = None,
    device: torch.device | str = "cpu",
) -> list[Path]:
    """Write mask, SR image, overlay and estimated kernel of each photograph; returns the masks.

    threshold: probability above which a pixel is a crack; None: the model's own, or 0.5 where it
    has none. ValueError before anything is written for a damaged image, two images of one name,
    or a model that does not segment.
    """
    if len({path.stem for path in images}) < len(images):
        raise ValueError("two photographs share a name without suffix; segment them one by one")
    if threshold is None:
        threshold = model.threshold.value if model.threshold else 0.5
    if not 0 < threshold < 1:
        raise ValueError(f"threshold {threshold} must lie between 0 and 1")
    if model.architecture.segmentation is None:
        raise ValueError(f"'{model.released}' super-resolves only; use a model that segments")
    loaded = [(path, read_photograph(path)) for path in images]
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for path, image in loaded:
        result = segment_photograph(model.module, image, device=device)
        mask = (result.prob[0] > threshold).numpy()
        target = output / f"{path.stem}-mask.png"
        Image.fromarray(mask.astype(np.uint8) * 255).save(target)
        picture = (result.sr * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(picture).save(output / f"{path.stem}-sr.png")
        Image.fromarray(overlay(picture, mask)).save(output / f"{path.stem}-overlay.png")
        if result.kernel is not None:
            kernel = (result.kernel[0] / result.kernel.max()).clamp(0, 1).numpy()
            Image.fromarray((kernel * 255).astype(np.uint8)).save(
                output / f"{path.stem}-kernel.png"
            )
        written.append(target)
    return written
