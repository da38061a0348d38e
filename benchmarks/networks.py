"""Size and cost of every network at LR 112 x 112 -> HR 448 x 448, on this CPU with one thread.

    python benchmarks/networks.py               # prints, and writes results/networks.json
    python benchmarks/networks.py pspnet dbpn   # only these; the others' results are kept

Each network runs once, in a process of its own: parameters, multiply-adds (half of what torch's
FlopCounter counts: convolutions and matrix products), processor seconds per image and the peak
of the process's memory. `released` is the multiply-adds of the authors' form of the same network.
"""

import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from csbsr.networks.blur_skip import BlurSkip
from csbsr.networks.crackformer import CrackFormer
from csbsr.networks.dbpn import DBPN
from csbsr.networks.dsrl import DSRL
from csbsr.networks.joint import Joint
from csbsr.networks.kbpn import KBPN
from csbsr.networks.ocr import HRNetOCR
from csbsr.networks.pspnet import PSPNet
from csbsr.networks.segnet import SegNet
from csbsr.networks.srcnet import SrcNetSR
from csbsr.networks.unet import UNet16

RESULT = Path(__file__).parent / "results" / "networks.json"
LR, HR = 112, 448


def pspnet_with_skip(modified: bool = True, plain: bool = False) -> nn.Module:
    net = PSPNet("resnet34")
    net.blur_skip = BlurSkip(net.skip_channels, modified=modified, plain=plain)
    return net


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, float | None]] = {
    "kbpn": (KBPN, LR, 3866.5),
    "kbpn, kernel 7": (lambda: KBPN(estimated_kernel=7), LR, 1004.0),
    "dbpn": (DBPN, LR, 75.1),
    "srcnet_sr": (SrcNetSR, LR, 204.6),
    "dsrl": (lambda: DSRL(scale=2), LR, 5.8),
    "dsrl_x4": (lambda: DSRL(scale=4), LR, 8.5),
    "pspnet, vgg16": (PSPNet, HR, None),
    "pspnet": (lambda: PSPNet("resnet34"), HR, 123.7),
    "pspnet + blur skip": (pspnet_with_skip, HR, 2214.7),
    "pspnet + blur skip, original sft": (lambda: pspnet_with_skip(modified=False), HR, 1747.6),
    "unet, pixel shuffle": (UNet16, HR, 153.9),
    "unet, deconv": (lambda: UNet16("deconv"), HR, 196.6),
    "hrnet_w48_ocr": (HRNetOCR, HR, 175.7),
    "crackformer": (CrackFormer, HR, 68.2),
    "srcnet_seg": (SegNet, HR, 122.5),
    "csbsr, pspnet": (
        lambda: Joint(KBPN(estimated_kernel=7), PSPNet("resnet34")),
        LR,
        1127.7,
    ),
}
"""Name -> how to build it, the side of its input, GMACs of the authors' form, if they have one."""


def measure(name: str) -> dict[str, float | int | None]:
    """Run one network once on random input and return its row of the table."""
    torch.set_num_threads(1)
    build, side, released = NETWORKS[name]
    torch.manual_seed(0)
    net = build().eval()
    kernel = torch.full((1, 441), 1 / 441) if "skip" in name else None
    inputs = (torch.rand(1, 3, side, side),) + (() if kernel is None else (kernel,))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        start = time.process_time()
        net(*inputs)
        seconds = time.process_time() - start
    gmacs = counter.get_total_flops() / 2e9
    return {
        "parameters": sum(p.numel() for p in net.parameters()),
        "input": side,
        "gmacs": round(gmacs, 2),
        "gmacs_released": released,
        "gmacs_ratio": None if released is None else round(gmacs / released, 3),
        "seconds": round(seconds, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main(names: list[str]) -> None:
    unknown = set(names) - set(NETWORKS)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(NETWORKS)}")
    known = json.loads(RESULT.read_text())["networks"] if RESULT.exists() else {}
    columns = ("parameters", "GMACs", "released", "seconds", "peak MiB")
    print(f"{'network':34}" + "".join(f"{column:>12}" for column in columns))
    for name in names or NETWORKS:
        command = [sys.executable, __file__, "--measure", name]
        reply = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        row = known[name] = json.loads(reply)
        released = row["gmacs_released"] or "-"
        cells = (f"{row['parameters']:,}", row["gmacs"], released, row["seconds"], row["peak_mib"])
        print(f"{name:34}" + "".join(f"{cell:>12}" for cell in cells), flush=True)
        machine = {
            "cpu": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "threads": 1,
        }
        ordered = {key: known[key] for key in NETWORKS if key in known}
        RESULT.write_text(json.dumps({"machine": machine, "networks": ordered}, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main(sys.argv[1:])
