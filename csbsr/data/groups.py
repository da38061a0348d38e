"""Which photograph an image was cut from and which data set it is of, read from its name.

Crops of one photograph share light, surface and often the crack, so they are one observation, not
several: what is drawn, left out or resampled is the photograph.
"""

import re

PATTERNS = (
    r"(CRACK500_\d{8}_\d{6})_\d+_\d+",  # corner of a crop: CRACK500_20160222_081011_1281_361
    r"(CRACK500_.+)_full",  # the whole photograph
    r"(DeepCrack_.+?)-\d+(?:_train)?",  # number of a crop: DeepCrack_11123-3
    r"(noncrack_.+)_\d+(?:\.jpg)?",  # number of a crop, and the stem's own suffix
    r"(.+)_\d+_\d+_\d+_\d+",  # box of a crop: Rissbilder_for_Florian_9S6A2889_470_1014_3063_3785
)
"""Names of crops, the photograph in the group; the first that fits decides."""


def photo_group(name: str) -> str:
    """Return the photograph of an image by its name (file stem); the name itself if no crop."""
    for pattern in PATTERNS:
        if found := re.fullmatch(pattern, name):
            return found[1]
    return name


SOURCES = (
    "CRACK500",
    "CFD",
    "DeepCrack",
    "Rissbilder",
    "Volker",
    "GAPS384",
    "Eugen_Muller",
    "Sylvie_Chambon",
    "cracktree200",
    "forest",
    "noncrack",
    "synthetic",
)
"""Data sets that the Khanhha collection was made of, and the embedded one, as names begin."""


def source_of(name: str) -> str:
    """Return the data set of an image by its name (file stem); "other" if the name has none.

    Whole photographs of CRACK500, whose cracks are a quarter as wide as in its crops, are
    "CRACK500_full".
    """
    if name.startswith("CRACK500_") and name.endswith("_full"):
        return "CRACK500_full"
    return next((source for source in SOURCES if name.startswith(f"{source}_")), "other")
