"""Freshness: what decides a number, hashed; a result is stale when today's hash differs."""

from csbsr.protocol import Protocol
from csbsr.study.experiments import Experiment, experiment, with_ancestors
from csbsr.study.models import modules_of
from csbsr.study.profiles import Profile, load_profile
from csbsr.study.provenance import code_closure, digest
from csbsr.study.results import ResultFile
from csbsr.study.steps import steps_of


def fingerprint(
    row: Experiment, profile: Profile, protocol: Protocol, seed: int, data_hash: str
) -> str:
    """Hash of all that decides a result: experiment, profile, protocol, data, seed and code."""
    parents = [experiment(n) for n in with_ancestors([row.id])[:-1]]
    choice = [digest(x) for x in (row, *parents, profile, protocol)]
    return digest([*choice, data_hash, seed, code_closure(modules_of(row))])


def steps_digest(row: Experiment, profile: Profile, protocol: Protocol) -> str:
    """Hash of the settings of every training step, those of parents included.

    It stands beside the fingerprint: how a profile becomes steps is no part of the code that
    computes, and results older than this hash lack it.
    """
    lineage = [experiment(name) for name in with_ancestors([row.id])]
    return digest([[digest(s) for s in steps_of(r, profile, protocol)] for r in lineage])


def import_fingerprint(
    name: str, weights: str, place: str, protocol: Protocol, data_hash: str
) -> str:
    """Hash of all that decides the numbers of published weights."""
    code = code_closure(["csbsr.evaluation", "csbsr.networks.released", "csbsr.data.cracks"])
    return digest([name, weights, place, digest(protocol), data_hash, code])


def is_import_stale(result: ResultFile) -> bool:
    """Whether today's code would give a result of published weights other numbers."""
    content, card = result.content, result.content["run_card"]
    try:
        protocol = load_profile("paper").protocol(content["protocol"])
        facts = (card["weights"], card["weights_hash"], content["experiment"])
    except (KeyError, ValueError):
        return True
    return import_fingerprint(*facts, protocol, card.get("data_hash", "")) != result.fingerprint


def is_stale(result: ResultFile) -> bool:
    """Whether today's code, profile or experiment would compute something else."""
    content = result.content
    if content["profile"] == "authors":
        return is_import_stale(result)
    card = content["run_card"]
    try:
        row, profile = experiment(content["experiment"]), load_profile(content["profile"])
        protocol = profile.protocol(content["protocol"])
        data_hash = card.get("data_hash", "")
        expected = fingerprint(row, profile, protocol, content["seed"], data_hash)
        steps = steps_digest(row, profile, protocol)
    except ValueError:
        return True
    return (expected, steps) != (result.fingerprint, card.get("steps", steps))
