"""Readers meet what nobody would write by hand: they read it, or refuse it in one line.

A short run with fixed examples belongs to the fast lane. `CSBSR_FUZZ=N` draws N random ones per
test instead, for as long as one likes; what such a run finds is kept here as an example.
"""

import functools
import io
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from result_files import result_content
from safetensors.torch import save

from csbsr.data.layouts import find_pairs
from csbsr.data.masks import MaskRule, read_mask
from csbsr.data.photos import picture_size, read_photo
from csbsr.model_file import load_model, save_model
from csbsr.networks.architecture import Architecture, BicubicConfig, DarknessConfig, build_model
from csbsr.protocol import RELEASED
from csbsr.study.audit import refused
from csbsr.study.authors import _load, _state_dict
from csbsr.study.graph import parse_seeds
from csbsr.study.profiles import parse_profile
from csbsr.study.results import find_results, read_result

EXAMPLES = int(os.environ.get("CSBSR_FUZZ", 0))
fuzz = settings(
    max_examples=EXAMPLES or 20,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def reads_or_refuses(read: Callable[[], object], *names: object) -> object:
    """What `read` returns, or None where it refuses: a ValueError of one line with these names."""
    try:
        return read()
    except ValueError as error:
        text, kind = str(error), type(error)
    assert kind is ValueError
    assert text.strip()
    assert "\n" not in text
    assert all(str(name) in text for name in names), text
    return None


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """A file with some bytes overwritten, and perhaps cut off or with more at its end."""
    content = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(content) - 1) | st.integers(0, min(200, len(content) - 1)))
        content[place] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        content = content[: draw(st.integers(0, len(content)))]
    return bytes(content) + draw(st.binary(max_size=8))


def _encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


@functools.cache
def pictures() -> list[bytes]:
    """A small picture in every format and mode that is read."""
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    mask = Image.fromarray(((grey > 100) * 255).astype(np.uint8))
    colour = Image.fromarray(np.dstack([grey, 255 - grey, grey // 2]))
    exif = Image.Exif()
    exif[274] = 6
    found = [_encoded(colour, f) for f in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM")]
    found += [_encoded(mask, f) for f in ("PNG", "TIFF", "GIF", "BMP")]
    found += [_encoded(colour.convert(m), "TIFF") for m in ("CMYK", "P", "RGBA", "YCbCr", "1")]
    found += [_encoded(colour.convert("P"), "PNG"), _encoded(colour.convert("RGBA"), "PNG")]
    found += [_encoded(colour, "JPEG", exif=exif), _encoded(colour, "PNG", exif=exif)]
    found += [_encoded(colour, "TIFF", compression=c) for c in ("tiff_lzw", "tiff_deflate", "jpeg")]
    for values in (grey.astype(np.uint16) * 250, grey.astype(np.int32), grey / np.float32(255)):
        found.append(_encoded(Image.fromarray(values), "TIFF"))
    found.append(_encoded(Image.fromarray(grey.astype(np.uint16) * 250), "PNG"))
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@fuzz
@given(content=st.deferred(lambda: damaged(pictures())) | st.binary(max_size=60))
def test_pictures(place: Path, content: bytes) -> None:
    path = place / "picture.png"
    path.write_bytes(content)
    photo = reads_or_refuses(lambda: read_photo(path, 1_000_000), path)
    if photo is not None:
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.ndim == 3
        assert photo.pixels.shape[2] == 3
        assert not any("\n" in note for note in photo.notes)
    reads_or_refuses(lambda: picture_size(path), path)


RULES = ("", "crack=255", "crack=1,2", "crack=#ff0000", "any>0", "inverted", "crack=0,inverted")


@fuzz
@given(
    content=st.deferred(lambda: damaged(pictures())) | st.binary(max_size=60),
    text=st.sampled_from(RULES),
)
def test_masks(place: Path, content: bytes, text: str) -> None:
    path = place / "mask.png"
    path.write_bytes(content)
    rule = MaskRule.parse(text) if text else MaskRule()
    mask = reads_or_refuses(lambda: read_mask(path, rule), path)
    if mask is not None:
        assert mask.dtype == bool
        assert mask.ndim == 2


@fuzz
@given(text=st.text(max_size=30) | st.from_regex(r"(crack|any)[=>].{0,12}(,inverted)?"))
def test_mask_rules(text: str) -> None:
    rule = reads_or_refuses(lambda: MaskRule.parse(" ".join(text.split())))
    if rule is not None and not rule.inverted and (rule.values or rule.colours):
        assert MaskRule.parse(str(rule)) == rule


@fuzz
@given(text=st.text(max_size=20) | st.from_regex(r"[0-9,\- ]{0,12}"))
def test_seeds(text: str) -> None:
    seeds = reads_or_refuses(lambda: parse_seeds(" ".join(text.split())))
    assert seeds is None or all(0 <= seed < 2**32 for seed in seeds)


numbers = st.integers() | st.floats() | st.just(10**400)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def changed(draw: st.DrawFn, whole: object) -> object:
    """A JSON value in which a few places, chosen anywhere, hold something else."""
    whole = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        node = whole
        while isinstance(node, (dict, list)) and node:
            keys = sorted(node) if isinstance(node, dict) else range(len(node))
            key = draw(st.sampled_from(list(keys)))
            inner = node[key]
            if not isinstance(inner, (dict, list)) or not inner or draw(st.booleans()):
                if isinstance(node, dict) and draw(st.integers(0, 4)) == 0:
                    del node[key]
                else:
                    node[key] = draw(json_values)
                break
            node = inner
    return whole


GOOD_RESULT = result_content("csbsr-pspnet", profile="quick", fingerprint_="of nothing")


def _put(results: Path, text: str) -> Path:
    path = results / "quick" / "walls" / "reproduction+quick" / "csbsr-pspnet-seed0.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


@fuzz
@given(content=changed(GOOD_RESULT) | json_values)
def test_results(place: Path, content: object) -> None:
    from csbsr_book.paper.ledger import claims_text
    from csbsr_book.paper.numbers import collect_results

    path = _put(place / "results", json.dumps(content))
    read = reads_or_refuses(lambda: read_result(path), path)
    lines = refused([path], place / "results")
    assert len(lines) == 1
    assert "\n" not in lines[0]
    problems: list[str] = []
    found = find_results(place / "results", "quick", problems=problems)
    assert bool(found) == (read is not None)
    if EXAMPLES and read is not None:  # seconds each
        assert claims_text(collect_results(place / "results"))


@fuzz
@given(text=st.text(max_size=60) | st.text(alphabet='{}[]":,0123456789eE.+-nulltrue', max_size=40))
def test_results_that_are_hardly_json(place: Path, text: str) -> None:
    path = _put(place / "other", text)
    assert reads_or_refuses(lambda: read_result(path), path) is None


DARK = Architecture(BicubicConfig(), DarknessConfig())


def _header(path: Path) -> dict:
    save_model(
        path,
        build_model(DARK),
        architecture=DARK,
        protocol=RELEASED,
        run_card={"experiment": "darkness", "seed": 0, "profile": "quick", "data": "walls"},
        threshold=None,
        licence="MIT",
    )
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["csbsr"])


@fuzz
@given(data=st.data())
def test_headers_of_models(place: Path, data: st.DataObject) -> None:
    path = place / "model.safetensors"
    header = data.draw(changed(_header(path)) | json_values)
    path.write_bytes(save({}, {"csbsr": json.dumps(header)}))
    model = reads_or_refuses(lambda: load_model(path), path)
    assert model is None or isinstance(model.module, torch.nn.Module)


@fuzz
@given(data=st.data())
def test_model_files(place: Path, data: st.DataObject) -> None:
    path = place / "bytes.safetensors"
    _header(path)
    content = data.draw(damaged([path.read_bytes(), save({"a": torch.ones(2)}, {"csbsr": "{}"})]))
    path.write_bytes(content)
    reads_or_refuses(lambda: load_model(path), path)


@functools.cache
def checkpoints() -> list[bytes]:
    """PyTorch files, new and old, as trainers write them."""
    found = []
    for zipped in (True, False):
        stream = io.BytesIO()
        content = {"state_dict": {"a.weight": torch.ones(2, 2)}, "epoch": 3}
        torch.save(content, stream, _use_new_zipfile_serialization=zipped)
        found.append(stream.getvalue())
    return found


@fuzz
@given(content=st.deferred(lambda: damaged(checkpoints())) | st.binary(max_size=60))
def test_checkpoints(place: Path, content: bytes) -> None:
    path = place / "latest.pth"
    path.write_bytes(content)
    reads_or_refuses(lambda: _state_dict(_load(path), path), path)


@functools.cache
def profile_lines() -> list[str]:
    path = Path(__file__).parents[1] / "csbsr" / "study" / "profiles" / "smoke.toml"
    return path.read_text(encoding="utf-8").splitlines()


words = (
    st.integers().map(str)
    | st.floats().map(str)
    | st.sampled_from(["true", '"x"', "[1]", "{}", "nan", "", "1979-05-27"])
    | st.text(max_size=6)
)


@fuzz
@given(data=st.data())
def test_profiles(data: st.DataObject) -> None:
    lines = list(profile_lines())
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        key = lines[number].partition("=")[0]
        line = data.draw(words.map(lambda w, key=key: f"{key}= {w}") | st.text(max_size=20))
        lines[number] = line
    reads_or_refuses(lambda: parse_profile("\n".join(lines), "mine.toml"), "mine.toml")


COCO = {
    "images": [{"id": 1, "file_name": "a.png"}],
    "annotations": [{"image_id": 1, "segmentation": [[0, 0, 3, 0, 3, 3]]}],
}


def coco_with(*polygon: object) -> dict:
    """What fuzzing found: polygons that are none."""
    annotations = [{"image_id": 1, "segmentation": list(polygon)}]
    return COCO | {"annotations": annotations}


@fuzz
@given(content=changed(COCO))
@example(content=coco_with([0, 0, 3, None, 3, 3]))
@example(content=coco_with([0, 0, 3, 0, [3], 3]))
@example(content=coco_with([0, 0]))
@example(content=coco_with(7))
@example(content=coco_with([0, 0, 3, 0, 3, 10**400]))
def test_polygons_of_coco(place: Path, content: object) -> None:
    root = place / "coco"
    root.mkdir(exist_ok=True)
    Image.new("RGB", (8, 6)).save(root / "a.png")
    (root / "instances.json").write_text(json.dumps(content))
    _draw_all(root)


@fuzz
@given(text=st.text(max_size=40) | st.from_regex(r"0( [0-9.e+\-]{1,5}){4,9}\n", fullmatch=True))
@example(text="0 nan nan nan nan nan nan")
@example(text="0 1e400 0 0 0 1 1")
def test_polygons_of_yolo(place: Path, text: str) -> None:
    root = place / "yolo"
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(root / "images" / "train" / "a.png")
    (root / "labels" / "train" / "a.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    _draw_all(root)


def _draw_all(root: Path) -> None:
    found = reads_or_refuses(lambda: find_pairs(root))
    for pair in found[1] if found else ():
        mask = reads_or_refuses(lambda pair=pair: pair.mask(MaskRule()), root)
        assert mask is None or mask.shape == (6, 8)
