"""The model that comes with the package, so that `csbsr segment` works right after installation.

How it was trained: `csbsr.study.shipped`. What it can do stands in the file's header.
"""

from pathlib import Path

from csbsr.model_file import SUFFIX, LoadedModel, load_model

NAME = "shipped"
"""What `--weights` calls it, and its run card."""
SHIPPED = Path(__file__).with_name(f"shipped{SUFFIX}")
"""The file, part of the package."""


def load_shipped() -> LoadedModel:
    """Read the model; ValueError, as `load_model` says it, where the installation lost its file."""
    return load_model(SHIPPED)
