"""Trained models on photographs (Sec. IV-C): one image of any size, or many files at once."""

from csbsr.inference.batch import SegmentOptions, segment_files
from csbsr.inference.photographs import find_photographs
from csbsr.inference.segmenter import (
    Segmented,
    Segmenter,
    read_photograph,
    segment_photograph,
)
from csbsr.inference.shipped import load_shipped
from csbsr.model_file import LoadedModel, load_model, save_model

__all__ = [
    "LoadedModel",
    "SegmentOptions",
    "Segmented",
    "Segmenter",
    "find_photographs",
    "load_model",
    "load_shipped",
    "read_photograph",
    "save_model",
    "segment_files",
    "segment_photograph",
]
