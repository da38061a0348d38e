"""Freshness: what decides a number, hashed; a result is stale when today's hash differs.

Stale results may be shown as such; they enter no mean, verdict, contrast or picture.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from csbsr.protocol import Protocol
from csbsr.study.digest import code_closure, digest
from csbsr.study.experiments import Experiment, experiment, with_ancestors
from csbsr.study.models import architecture_of
from csbsr.study.profiles import load_profile, profile_of_card
from csbsr.study.recipe import BUILDERS, EMBEDDED, Settings, image_modules, options, recipe
from csbsr.study.results import ResultFile, find_results
from csbsr.study.steps import steps_of

MEASURING = ("csbsr.evaluation", "csbsr.metrics")
"""Modules that measure, with all that they import."""
KEEPING = ("csbsr.study.record", "csbsr.study.breakdown", "csbsr.data.split", "csbsr.data.groups")
"""Modules that say what is kept of it, and which images are held out to choose a threshold."""


def lineage(row: Experiment) -> list[Experiment]:
    """The experiments whose weights this one continues, the first one first, and itself."""
    parents = with_ancestors([row.starts_from]) if row.starts_from else []
    return [*map(experiment, parents), row]


def fingerprint(row: Experiment, settings: Settings) -> str:
    """Hash of all that decides a result: every step of it and of its parents, and the measuring."""
    profile, protocol = settings.profile, settings.protocol
    training = [
        recipe(architecture_of(r, profile, protocol), steps_of(r, profile, protocol), settings)
        for r in lineage(row)
    ]
    code = code_closure([*MEASURING, *image_modules(settings.data)], KEEPING)
    return digest({"training": training, "kernels": profile.kernel_seed, "measuring": code})


def uses_natural(row: Experiment, settings: Settings) -> bool:
    """Whether natural images decide a result; those of its parents count."""
    steps = (steps_of(r, settings.profile, settings.protocol) for r in lineage(row))
    return any(step.natural for own in steps for step in own)


def settings_of(result: ResultFile) -> Settings:
    """Today's profile and protocol with the images and overrides that a result was made with.

    ValueError for a profile or protocol that is no longer known; KeyError for a card that lacks
    something.
    """
    content, card = result.content, result.card
    profile = profile_of_card(content["profile"], card)
    protocol = profile.protocol(content["protocol"])
    if protocol.name != content["protocol"]:
        raise ValueError(f"protocol '{content['protocol']}' is unknown")
    given = {"precision": profile.precision, "pretrained": profile.pretrained, "compile": False}
    return Settings(
        profile=profile,
        protocol=protocol,
        seed=content["seed"],
        data=card["data"],
        data_hash=card["data_hash"],
        natural_hash=card["natural_hash"] or EMBEDDED,
        **given | card["overrides"],
    )


def imported_fingerprint(
    name: str, weights: str, place: str, protocol: Protocol, data: str, data_hash: str
) -> str:
    """Hash of all that decides the numbers of published weights, evaluated in `place`'s stead."""
    roots = [*MEASURING, "csbsr.networks.released", *image_modules(data)]
    alone = [*BUILDERS, *KEEPING, "csbsr.study.authors"]
    facts = [name, weights, place, options(protocol), load_profile("paper").kernel_seed, data_hash]
    return digest([*facts, code_closure(roots, alone)])


def expected_fingerprint(result: ResultFile) -> str | None:
    """The hash that today's code, profile and experiment give; None where they are unknown."""
    content, card = result.content, result.card
    try:
        if content["profile"] == "authors":
            protocol = load_profile("paper").protocol(content["protocol"])
            facts = (card["weights"], card["weights_hash"], content["experiment"], protocol)
            return imported_fingerprint(*facts, card["data"], card["data_hash"])
        return fingerprint(experiment(content["experiment"]), settings_of(result))
    except (KeyError, TypeError, ValueError):
        return None


def is_stale(result: ResultFile) -> bool:
    """Whether today's code, profile or experiment would give other numbers; no hash is stale."""
    return not result.fingerprint or result.fingerprint != expected_fingerprint(result)


@dataclass(frozen=True)
class FoundResults:
    """Results of one profile, data set and protocol by experiment id, seeds in order."""

    fresh: dict[str, list[ResultFile]] = field(default_factory=dict)
    """These enter means, verdicts, contrasts and pictures."""
    stale: dict[str, list[ResultFile]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """One line per file that cannot be believed."""


def find_fresh(
    results: Path, profile: str, data: str | None = None, protocol: str | None = None
) -> FoundResults:
    """The results there are, fresh ones apart from stale ones; see `find_results` for defaults."""
    problems: list[str] = []
    found = FoundResults()
    for name, runs in find_results(results, profile, data, protocol, problems).items():
        for result in runs:
            kind = found.stale if is_stale(result) else found.fresh
            kind.setdefault(name, []).append(result)
    return FoundResults(found.fresh, found.stale, tuple(problems))


SHARED = {"data_hash": "data images", "natural_hash": "natural images", "overrides": "options"}
"""What all results of one folder have in common, where they have it at all."""


def difference(card: dict, others: Iterable[ResultFile]) -> tuple[ResultFile, str] | None:
    """The first of `others` made from other images or with other options, and which; or None."""
    for other in others:
        for name, what in SHARED.items():
            mine, theirs = card.get(name), other.card.get(name)
            if mine is not None and theirs is not None and mine != theirs:
                return other, what
    return None
