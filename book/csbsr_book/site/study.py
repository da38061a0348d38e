"""A chapter that shows results: those of this profile are run where they are missing."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from csbsr.study.freshness import FoundResults, find_fresh
from csbsr.study.profiles import NAMES, Profile, load_profile
from csbsr.study.run import Request, pick_device, run_experiments
from csbsr.study.sources import data_name, hash_of, open_data
from csbsr_book.site.chapter import Chapter


class Recorded(NamedTuple):
    """Wall seconds of the fresh runs of some experiments, by profile; how many were asked for."""

    experiments: int
    seconds: Mapping[str, Sequence[float]]


class StudyChapter(Chapter):
    """A `Chapter` that reads result files, and trains what is missing in its own profile."""

    @cached_property
    def request(self) -> Request:
        """What is run for this chapter, and where its results lie."""
        place = (self.data, self.seed, self.results_folder)
        return Request(self.profile_given, *place, self.protocol.name)

    def measure(self, names: Sequence[str]) -> FoundResults:
        """Results of this profile and data; those of `names` that are missing are run first."""
        self.trained = True
        run_experiments(names, self.request, quiet=True)
        return self._found(self.profile, data_name(self.data))

    def measured(self) -> FoundResults:
        """Every real result there is: of this profile, or when it is `smoke` of a larger one."""
        if not self.smoke:
            return self._found(self.profile, data_name(self.data))
        found = [self._found(load_profile(name), None) for name in ("paper", "quick")]
        return next((f for f in found if f.fresh), next((f for f in found if f.stale), found[0]))

    def recorded(self, names: Sequence[str]) -> Recorded:
        """What the runs of these experiments took, in every profile, by their run cards."""
        seconds = {}
        for profile in NAMES:
            fresh = find_fresh(self.results_folder, profile).fresh
            cards = [r.content["run_card"] for name in names for r in fresh.get(name, ())]
            seconds[profile] = [float(card.get("seconds") or 0) for card in cards]
        return Recorded(len(names), seconds)

    def _found(self, profile: Profile, data: str | None) -> FoundResults:
        protocol = profile.protocol(self.request.protocol).name
        return find_fresh(self.results_folder, profile.name, data, protocol)

    def _training_facts(self) -> Mapping[str, object]:
        return self._facts

    @cached_property
    def _facts(self) -> Mapping[str, object]:
        sources = open_data(self.data, self.profile, self.protocol)
        return {
            "images": len(sources[-1]),
            "data_hash": hash_of(sources),
            "device": str(pick_device(self.request.device)),
        }
