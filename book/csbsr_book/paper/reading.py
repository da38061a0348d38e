"""The paper read sentence by sentence: which sentence has a claim, and why the others have none."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from csbsr import toml
from csbsr_book.paper.claims import Claim, load_claims, load_questions
from csbsr_book.paper.printed import data_file

Why = Literal[
    "definition",
    "setting",
    "related work",
    "motivation",
    "explanation",
    "scope",
    "picture",
    "summary",
    "marks",
    "future work",
]
REASONS: Mapping[Why, str] = {
    "definition": "introduces a term, a symbol or an equation",
    "setting": "says what was done; a result cannot contradict it (the deviations page compares it "
    "with the released code)",
    "related work": "reports what others found",
    "motivation": "says why something is wanted or hard, without a quantity",
    "explanation": "offers a cause or an expectation that no experiment of the paper separates",
    "scope": "holds for more cases than can be tried",
    "picture": "is about what is to be seen in pictures, and no number of ours decides it: by eye",
    "summary": "announces or sums up what other sentences say",
    "marks": "says how cells are marked (the inconsistencies page checks the marks)",
    "future work": "is about what comes next",
}
"""Why a sentence has no claim."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of the paper: with a claim or with the reason why it has none."""

    quote: str = ""
    """Short; empty where the claim has it."""
    claim: str = ""
    """Id of the claim it makes; together with a quote, of a claim that it makes again."""
    why: Why | None = None
    remark: str = ""
    figure: str = ""
    """Anchor of the figure that it is about."""
    tested: str = ""
    """Id of a question of ours that bears on it."""

    def __post_init__(self) -> None:
        if bool(self.claim) == bool(self.why):
            raise ValueError(f"'{self.quote or self.claim}' needs either a claim or a reason")
        if not (self.quote or self.claim):
            raise ValueError("a sentence needs a quote or a claim that has one")


@dataclass(frozen=True)
class Section:
    """A section of the paper with its sentences in order."""

    id: str
    title: str
    sentences: tuple[Sentence, ...]

    def claims(self) -> tuple[Claim, ...]:
        """Return the claims whose own sentences stand here."""
        known = {claim.id: claim for claim in load_claims()}
        return tuple(known[s.claim] for s in self.sentences if s.claim and not s.quote)


@dataclass(frozen=True)
class SectionsFile:
    """The file of sentences."""

    section: tuple[Section, ...]


@cache
def load_sections() -> tuple[Section, ...]:
    """Return the paper's sections; ValueError unless every claim has its sentence, in order."""
    sections = toml.read(SectionsFile, data_file("reading.toml")).section
    sentences = [sentence for section in sections for sentence in section.sentences]
    claims, questions = ({s.id for s in group} for group in (load_claims(), load_questions()))
    if unknown := {s.claim for s in sentences} - claims - {""}:
        raise ValueError(f"reading.toml: claim '{min(unknown)}' is unknown")
    if unknown := {s.tested for s in sentences} - questions - {""}:
        raise ValueError(f"reading.toml: question '{min(unknown)}' is unknown")
    own = [s.claim for s in sentences if s.claim and not s.quote]
    if own != [claim.id for claim in load_claims()]:
        raise ValueError("reading.toml: claims are not each once and in the order of claims.toml")
    return sections


def by_eye() -> tuple[Sentence, ...]:
    """Return the sentences about pictures that only a reader can judge."""
    return tuple(s for sec in load_sections() for s in sec.sentences if s.why == "picture")
