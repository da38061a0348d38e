"""What pages count, from the data they count: a page asks by name and never states a number."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from csbsr.study import experiments as study
from csbsr.study.freshness import find_fresh
from csbsr.study.profiles import NAMES, load_profile
from csbsr_book.paper.claims import load_claims
from csbsr_book.paper.deviations import load_deviations
from csbsr_book.paper.printed import experiments_of, load_tables

Counts = Mapping[str, int]
ASKED = re.compile(r"\{\{ ([a-z_]+) \}\}")
"""How a page asks; BibTeX on a page has no such spaces."""


def counts(results: Path) -> Counts:
    """Every count by name; `measured` is of experiments with a fresh result that is one."""
    rows = study.experiments()
    trained = [row for row in rows if row.learns]
    real = [name for name in NAMES if load_profile(name).is_result]
    measured = {name for profile in real for name in find_fresh(results, profile).fresh}
    tables = [name for number in load_tables() for name in experiments_of(number)]
    return {
        "experiments": len(rows),
        "trainings": len(trained),
        "of_tables": len(set(tables)),
        "beside_tables": len(rows) - len(set(tables)),
        "measured": len(measured & {row.id for row in rows}),
        "claims": len(load_claims()),
        "deviations": len(load_deviations()),
        "sr_networks": len({row.sr for row in trained} - {None, "bicubic", "dsrl"}),
        "segmentation_networks": len({row.segmentation for row in trained}),
        "losses": len(get_args(study.Loss)),
    }


def counted(page: str, found: Counts, where: str) -> str:
    """A page with `{{ name }}` replaced by a count; ValueError for a name that nothing counts."""

    def count(match: re.Match) -> str:
        if match[1] not in found:
            raise ValueError(f"{where}: nothing counts '{match[1]}'; known: {', '.join(found)}")
        return f"{found[match[1]]:,}"

    return ASKED.sub(count, page)
