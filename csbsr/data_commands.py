"""What `csbsr data` does: fetch, check, convert, split, audit, degrade folders of crack images."""

import argparse
import sys

from csbsr.data.audit import audit_folder, check_folder, contact_sheet, open_splits, table_text
from csbsr.data.cracks import CrackFolder
from csbsr.data.fetch import fetch, published
from csbsr.data.folders import convert, degrade_folder, split
from csbsr.data.masks import WHITE_ON_BLACK, MaskRule
from csbsr.inference.rasters import write_png
from csbsr.protocol import protocol_named


def data(arguments: argparse.Namespace) -> int:
    """`csbsr data ACTION`."""
    text = getattr(arguments, "mask_values", None)
    rule = MaskRule.parse(text) if text else WHITE_ON_BLACK
    return _ACTIONS[arguments.action](arguments, rule)


def _check(arguments: argparse.Namespace, rule: MaskRule) -> int:
    folders = open_splits(arguments.folder, rule)
    if arguments.sheet and arguments.sheet.exists():
        raise ValueError(f"{arguments.sheet} exists; give another name")
    rows, notes = check_folder(folders)
    print(table_text(rows))
    for note in notes:
        print(f"note: {note}")
    if arguments.sheet:
        sheet = contact_sheet(folders["test"])
        write_png(arguments.sheet, sheet.shape[:2], [sheet])
        print(arguments.sheet)
    return 0


def _convert(arguments: argparse.Namespace, rule: MaskRule) -> int:
    layout, counts = convert(arguments.folder, arguments.output, rule)
    print(f"{layout}: {', '.join(f'{n} {part}' for part, n in sorted(counts.items()))}")
    if not counts["test"]:
        print("no test split; `csbsr data split` draws one", file=sys.stderr)
    print(arguments.output)
    return 0


def _split(arguments: argparse.Namespace, rule: MaskRule) -> int:
    counts = split(arguments.folder, arguments.output, arguments.test_share, rule)
    print(f"{counts['train']} training and {counts['test']} test images")
    print(arguments.output)
    return 0


def _audit(arguments: argparse.Namespace, rule: MaskRule) -> int:
    found = audit_folder(open_splits(arguments.folder, rule))
    for first, second in found.exact:
        print(f"copy  {first}  {second}")
    for pair in found.near:
        print(f"alike  {pair.first}  {pair.second}  ({pair.bits} bits, {pair.correlation:.3f})")
    print(f"{len(found.exact)} copies, {len(found.near)} look-alikes")
    print("clean test images: " + (" ".join(found.clean_test) or "none"))
    return 0


def _degrade(arguments: argparse.Namespace, rule: MaskRule) -> int:
    folder = CrackFolder(arguments.folder, "test", min_size=16, rule=rule)
    protocol = protocol_named(arguments.protocol)
    count = degrade_folder(folder, arguments.output, protocol, arguments.seed)
    print(f"{count} images, their masks and kernels, manifest.csv")
    print(arguments.output)
    return 0


def _fetch(arguments: argparse.Namespace, rule: MaskRule) -> int:
    known = published()
    if arguments.name not in known:
        raise ValueError(f"'{arguments.name}' is unknown; choose one of {', '.join(known)}")
    entry = known[arguments.name]
    print(f"{entry.title}; {entry.page}; terms: {entry.terms}", file=sys.stderr)
    fetch(entry, arguments.output, arguments.archive, lambda line: print(line, file=sys.stderr))
    print(arguments.output)
    return 0


_ACTIONS = {
    "fetch": _fetch,
    "check": _check,
    "convert": _convert,
    "split": _split,
    "audit": _audit,
    "degrade": _degrade,
}
