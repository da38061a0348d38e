"""How long each page of the book takes to run by itself, from the last build in this checkout.

python benchmarks/chapters.py     after `make book`; experiments were run before, and are not in it
"""

import json
from pathlib import Path

from csbsr.files import write_json
from csbsr.study.provenance import hardware, repository_root

RESULT = Path(__file__).parent / "results" / "chapters.json"


def page_seconds(folder: Path) -> dict[str, dict[str, float]]:
    """Wall seconds of every executed notebook in a folder, as papermill recorded them."""
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        record = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("papermill", {})
        if record.get("duration") and not path.stem.endswith((".running", ".failed")):
            found[path.stem] = {"seconds": round(record["duration"], 1)}
    return found


def main() -> None:
    """Write the benchmark's JSON."""
    pages = page_seconds(repository_root() / "_build" / "book" / "notebooks")
    content = {"what": "each page of the book by itself, smoke profile, wall time"}
    write_json(RESULT, content | {"hardware": hardware(), "pages": pages})


if __name__ == "__main__":
    main()
