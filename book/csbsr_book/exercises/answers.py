"""How an answer is checked: it is right, or one line says which part is off and what to look at.

A check raises `NotYet`; Jupyter shows its line alone, without a traceback.
"""

import math
from collections.abc import Callable, Collection, Mapping

import numpy as np
from numpy.typing import ArrayLike

from csbsr.study.experiments import Experiment, experiments

WORDS = frozenset(("id", "title", "kind", "baseline"))
"""Fields of an experiment that name it and decide nothing."""


class NotYet(AssertionError):
    """An answer that is missing or wrong; its text is one line for the student."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in the place of a traceback."""
        return [f"✗ {self}"]


def right(said: str = "") -> None:
    """Print that everything asked for is right, and what follows from it."""
    print(f"✓ right{': ' + said if said else ''}")


def answered(name: str, given: object) -> None:
    """NotYet while an answer is still the `...` of the student's edition, or None."""
    if given is ... or given is None:
        raise NotYet(f"{name} is still open; write your answer in the place of `...`")


def number(name: str, given: object, expected: float, hint: str, tolerance: float = 0.01) -> None:
    """NotYet unless `given` is the expected number, up to a relative tolerance."""
    answered(name, given)
    try:
        value = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise NotYet(f"{name} must be one number, not {type(given).__name__}") from None
    if not math.isclose(value, expected, rel_tol=tolerance, abs_tol=1e-9 if expected else 1e-6):
        off = "too large" if value > expected else "too small"
        off = off if math.isfinite(value) else "not finite"
        raise NotYet(f"{name} = {value:.6g} is {off}; {hint}")


def same(name: str, given: object, expected: object, hint: str) -> None:
    """NotYet unless `given` equals a word, truth value, tuple or set."""
    answered(name, given)
    if isinstance(expected, set | frozenset):
        if isinstance(given, str) or not isinstance(given, Collection):
            raise NotYet(f"{name} must be a set such as {{'a', 'b'}}")
        given, many, few = set(given), set(given) - expected, expected - set(given)
        if many:
            raise NotYet(f"{name}: {', '.join(map(repr, sorted(many)))} does not belong; {hint}")
        if few:
            raise NotYet(f"{name}: {len(few)} missing; {hint}")
    elif isinstance(expected, bool) and not isinstance(given, bool):
        raise NotYet(f"{name} must be True or False")
    elif given != expected:
        raise NotYet(f"{name} = {given!r} is not it; {hint}")


def array(
    name: str, given: object, expected: ArrayLike, hint: str, tolerance: float = 1e-4
) -> None:
    """NotYet unless `given` has the shape and the values of the expected array."""
    answered(name, given)
    try:
        found = np.asarray(given, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"{name} must be an array of numbers, not {type(given).__name__}") from None
    wanted = np.asarray(expected, dtype=float)
    if found.shape != wanted.shape:
        raise NotYet(f"{name} has the shape {found.shape}, needed is {wanted.shape}; {hint}")
    if not np.isfinite(found).all():
        raise NotYet(f"{name} holds values that are not finite; {hint}")
    scale = max(float(np.abs(wanted).max()), 1e-12)
    if (off := float(np.abs(found - wanted).max())) > tolerance * scale:
        raise NotYet(f"{name} is off by up to {off:.3g}; {hint}")


def function(name: str, given: object) -> Callable[..., object]:
    """The student's function, whose results are looked at; NotYet if there is none to call."""
    answered(name, given)
    if not callable(given):
        raise NotYet(f"{name} must be a function, not {type(given).__name__}")

    def asked(*arguments: object) -> object:
        found = given(*arguments)
        answered(f"what {name} returns", found)
        return found

    return asked


def holds(condition: bool, message: str) -> None:
    """NotYet with this message unless the condition holds."""
    if not condition:
        raise NotYet(message)


def by_id() -> Mapping[str, Experiment]:
    """All experiments of the book by their ids."""
    return {row.id: row for row in experiments()}


def experiment(name: str, given: object) -> Experiment:
    """The experiment of an id; NotYet if there is no such id."""
    answered(name, given)
    if given not in by_id():
        raise NotYet(f"{name}: there is no experiment {given!r}; `csbsr run` lists the ids")
    return by_id()[given]


def differing(first: Experiment, second: Experiment) -> set[str]:
    """The fields in which two experiments differ, apart from their names."""
    one, two = vars(first), vars(second)
    return {field for field in one if field not in WORDS and one[field] != two[field]}


def contrast(given: object, varied: str, values: Collection[object], hint: str) -> None:
    """NotYet unless `given` names two experiments that differ in one field, with these values.

    `given` is a pair of ids in any order, `varied` the field of `Experiment`.
    """
    answered("arms", given)
    if isinstance(given, str) or not isinstance(given, Collection) or len(given) != 2:
        raise NotYet("arms must be two ids of experiments, such as ('csbsr-pspnet', 'srcnet')")
    first, second = (experiment("arms", name) for name in given)
    others = differing(first, second) - {varied}
    if others:
        raise NotYet(f"arms differ in {', '.join(sorted(others))} as well; {hint}")
    found = {vars(first)[varied], vars(second)[varied]}
    if found != set(values):
        raise NotYet(f"arms have {varied} = {', '.join(sorted(map(str, found)))}; {hint}")
