"""The claims ledger as text, for `csbsr claims`."""

from collections import Counter
from pathlib import Path

from csbsr.reproduce.claim_numbers import collect_results
from csbsr.reproduce.claims import evaluate_on_paper, evaluate_on_results, load_claims
from csbsr.reproduce.verdicts import WORDS


def claims_text(folder: Path) -> str:
    """Return one line per claim (printed numbers, our results, id) and the counts of verdicts."""
    results = collect_results(folder)
    rows = [
        (evaluate_on_paper(claim).verdict, evaluate_on_results(claim, results).verdict, claim.id)
        for claim in load_claims()
    ]
    lines = [f"{'printed numbers':<17}{'our results':<17}claim"]
    lines += [f"{paper:<17}{ours:<17}{name}" for paper, ours, name in rows]
    paper, ours = (Counter(column) for column in list(zip(*rows))[:2])
    lines += ["", f"{'':<17}{'printed numbers':>17}{'our results':>17}"]
    lines += [f"{word:<17}{paper[word]:>17}{ours[word]:>17}" for word in WORDS]
    return "\n".join(lines)
