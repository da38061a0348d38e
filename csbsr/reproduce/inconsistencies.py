"""Places where the paper disagrees with itself, each with evidence computed from its tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from csbsr.reproduce.claims import evaluate_on_paper, load_claims
from csbsr.reproduce.evidence import fill
from csbsr.reproduce.paper import Table, build, load_tables, read_toml
from csbsr.reproduce.verdicts import Verdict

Severity = Literal["numbers", "equation", "reference", "wording"]
SEVERITIES: tuple[Severity, ...] = ("numbers", "equation", "reference", "wording")


@dataclass(frozen=True)
class Inconsistency:
    """Two statements that cannot both stand, where they stand, and why."""

    id: str
    severity: Severity
    one: str
    """Short quote."""
    one_place: str
    other_place: str
    explanation: str
    other: str = ""
    """The second quote, or empty if `finding` says in our words what stands there."""
    finding: str = ""
    evidence: str = ""
    """Template for `csbsr.reproduce.evidence.fill`, or empty."""
    claims: tuple[str, ...] = ()
    """Claims of the ledger that the printed numbers do not bear out for this reason."""

    def computed_evidence(self, tables: Mapping[str, Table] | None = None) -> str:
        """Return the evidence with its numbers, "" where none are involved."""
        return fill(self.evidence, load_tables() if tables is None else tables)

    def claim_verdicts(self) -> dict[str, Verdict]:
        """Return the verdict of the printed numbers on each claim named."""
        known = {claim.id: claim for claim in load_claims()}
        return {name: evaluate_on_paper(known[name]) for name in self.claims}


def parse_inconsistencies(data: Mapping[str, Any]) -> tuple[Inconsistency, ...]:
    """Return the entries of an `inconsistencies.toml`; ValueError names the one at fault."""
    entries = []
    for item in data.get("inconsistency", ()):
        where = f"paper/inconsistencies.toml, '{item.get('id')}'"
        entry = build(Inconsistency, item, where)
        if entry.severity not in SEVERITIES:
            raise ValueError(f"{where}: severity '{entry.severity}' is none of {SEVERITIES}")
        if bool(entry.other) == bool(entry.finding):
            raise ValueError(f"{where}: needs either 'other' (a quote) or 'finding' (our words)")
        entries.append(entry)
    ids = [entry.id for entry in entries]
    if twice := {i for i in ids if ids.count(i) > 1}:
        raise ValueError(f"paper/inconsistencies.toml: '{min(twice)}' appears twice")
    return tuple(entries)


@cache
def load_inconsistencies() -> tuple[Inconsistency, ...]:
    """Return all entries, numbers first, then equations, references and wording."""
    entries = parse_inconsistencies(read_toml("inconsistencies"))
    return tuple(sorted(entries, key=lambda entry: SEVERITIES.index(entry.severity)))
