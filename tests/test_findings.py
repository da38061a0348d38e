"""What we found: computed from fresh results, silent without them, never a size against a size."""

from pathlib import Path

import pytest
from result_files import put_result

from csbsr.study.freshness import FoundResults, find_fresh
from csbsr_book.chapters.findings import (
    detectable,
    findings_of,
    gaps_of,
    small_table,
)
from csbsr_book.paper.printed import experiments_of, load_table
from csbsr_book.site.table import text


def put(folder: Path, name: str, *values: float) -> None:
    for seed, iou in enumerate(values):
        put_result(folder, name, seed=seed, iou=iou)


def test_without_a_run_only_that_is_said() -> None:
    found = findings_of("II", FoundResults())
    assert (found.measured, found.order, found.contrasts, found.failed) == (0, None, [], [])
    assert f"None of the {len(experiments_of('II'))} rows has been measured" in found.html()
    assert "not known" in text(small_table(FoundResults())) or not small_table(FoundResults()).rows


def test_order_contrasts_and_failed_rows(tmp_path: Path) -> None:
    put(tmp_path, "darkness", 0.30)
    put(tmp_path, "csbsr-pspnet", 0.50, 0.52)
    put(tmp_path, "kbpn+pspnet", 0.49, 0.51)
    put(tmp_path, "dsrl", 0.302)
    found = findings_of("II", find_fresh(tmp_path, "quick"))
    assert found.measured == 3
    assert found.seeds == {1: 1, 2: 2}
    assert found.failed == ["DSRL"]
    assert found.floor == ("Darkness of bicubic LR", pytest.approx(0.30))
    table = load_table("II")
    joint, alone, dsrl = (
        table.value(n, "IoU_max") for n in ("csbsr-pspnet", "kbpn+pspnet", "dsrl")
    )
    same = sum([joint > alone, joint > dsrl, alone > dsrl])
    assert (found.order.same, found.order.pairs) == (same, 3)
    gap = next(c for c in found.contrasts if c.title == table.row("csbsr-pspnet").label)
    assert gap.found.estimate == pytest.approx(0.01)
    assert gap.printed == pytest.approx(joint - alone)
    page = found.html()
    assert "<strong>No comparison:</strong> DSRL" in page
    assert "undecided" in page, "two seeds settle nothing that was registered for eight"


def test_stale_results_say_nothing(tmp_path: Path) -> None:
    put_result(tmp_path, "csbsr-pspnet", fingerprint="of other code")
    assert findings_of("II", find_fresh(tmp_path, "quick")).measured == 0


def test_how_small_is_too_small(tmp_path: Path) -> None:
    put(tmp_path, "csbsr-pspnet", 0.50, 0.53, 0.51)
    put(tmp_path, "kbpn+pspnet", 0.49, 0.50, 0.52)
    row = small_table(find_fresh(tmp_path, "quick")).rows[0]
    spread, df = row[1].lines[0].value, row[2].lines[0].value
    assert df == 2
    differences = [0.01, 0.03, -0.01]
    centre = sum(differences) / 3
    assert spread == pytest.approx((sum((d - centre) ** 2 for d in differences) / 2) ** 0.5)
    assert row[4].parts[0][0].value == pytest.approx(4.3027 * spread, rel=1e-4)
    assert detectable(1.0, 7, 8) == pytest.approx(2.3646 / 8**0.5, rel=1e-4)
    assert all(gap >= 0 for gap in gaps_of("IoU_max"))
    assert "smallest difference" in text(small_table(find_fresh(tmp_path, "quick")))
