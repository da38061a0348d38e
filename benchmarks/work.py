"""Count the work of every training step again and write `csbsr/study/work.json`.

    python benchmarks/work.py               # all profiles
    python benchmarks/work.py quick paper

What is there under a hash that still holds is kept. `csbsr cost` counts what the file lacks, so a
change of a network makes it slower and never wrong.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from csbsr.files import replacing
from csbsr.study import work
from csbsr.study.experiments import experiments
from csbsr.study.profiles import NAMES, load_profile

FILE = Path(work.__file__).with_name("work.json")


def main(profiles: list[str]) -> None:
    before = json.loads(FILE.read_text()) if FILE.exists() else {}
    kept: dict[str, dict] = {}
    for name in NAMES:
        profile = load_profile(name)
        for asked in work.countable(experiments(), profile, profile.protocol("reproduction")):
            key = work.key_of(*asked)
            if key in before:
                kept[key] = before[key]
            elif name in profiles:
                kept[key] = asdict(work.count(*asked))
                print(name, *kept[key]["tflop"], f"{kept[key]['gib']:.3f} GiB", flush=True)
                save(before | kept)
    save(kept)


def save(counts: dict[str, dict]) -> None:
    lines = (f"{json.dumps(key)}: {json.dumps(counts[key])}" for key in sorted(counts))
    with replacing(FILE) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or list(NAMES))
