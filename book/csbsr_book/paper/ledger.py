"""The ledger file: the verdict that is expected of every statement; a test compares it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from csbsr import toml
from csbsr.study.registered import Results
from csbsr_book.paper.claims import (
    SENTENCE_WORDS,
    counts,
    load_claims,
    load_statements,
    printed_verdicts,
    verdicts_on_results,
    word,
)

LEDGER = Path(__file__).parent / "ledger.toml"
Ledger = Mapping[str, Mapping[str, Sequence[str]]]
"""Statement -> sub-claim, or "sentence" for the whole -> words (printed numbers, our results)."""


def ledger_of(results: Results) -> Ledger:
    """Return the present verdicts; "" where a column has nothing to say."""
    printed, ours = printed_verdicts(), verdicts_on_results(results)
    found = {}
    for statement in load_statements():
        rows = {"sentence": [word(statement, v) or "" for v in (printed, ours)]}
        for sub in statement.sub_claims():
            rows[sub.id] = [v[sub.id].verdict if sub.id in v else "" for v in (printed, ours)]
        found[statement.id] = rows
    return found


def load_ledger(path: Path = LEDGER) -> Ledger:
    """Return the expected verdicts."""
    return toml.parse(path.read_text(encoding="utf-8"), path.name) if path.exists() else {}


def update_ledger(results: Results, path: Path = LEDGER) -> list[str]:
    """Write the present verdicts to the ledger and return the statements that changed."""
    before, after = load_ledger(path), ledger_of(results)
    lines = ["# Written by `csbsr claims --update`; do not edit by hand."]
    for name, rows in after.items():
        lines += ["", f"[{name}]"]
        lines += [f'{key} = ["{paper}", "{ours}"]' for key, (paper, ours) in rows.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def claims_text(results: Results) -> str:
    """Return one line per sentence (printed numbers, our results, id) and counts of verdicts."""
    claims, columns = load_claims(), (printed_verdicts(), verdicts_on_results(results))
    lines = [f"{'printed numbers':<21}{'our results':<21}sentence"]
    for claim in claims:
        words = [word(claim, verdicts) or "needs no run" for verdicts in columns]
        lines.append("".join(f"{w:<21}" for w in words) + claim.id)
    counted = [counts(claims, verdicts) for verdicts in columns]
    lines += ["", f"{'':<21}{'printed numbers':>17}{'our results':>17}"]
    rows = [*((w, w) for w in SENTENCE_WORDS), ("needs no run", None)]
    lines += [f"{name:<21}{counted[0][w]:>17}{counted[1][w]:>17}" for name, w in rows]
    return "\n".join(lines)
