"""Hashes are the same on every Python: plain functions, so that any interpreter can run this file.

`python3.12 tests/test_digest.py` needs nothing but the standard library.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from csbsr.study import digest as digests  # noqa: E402
from csbsr.study.digest import code_closure, digest, source_digest  # noqa: E402

FIXTURE = ROOT / "tests" / "fixtures" / "code_to_hash.txt"
OF_FIXTURE = "1a174fccd5deb009def0323afb0ac7f1ecf222e62ffae93cf00dd5e8d7c204be"
OF_VALUES = "91d020290865215d"


@dataclass(frozen=True)
class Values:
    """A frozen configuration."""

    width: int = 16
    rate: float = 1e-3
    name: str = "ä"
    steps: tuple[int, ...] = (1, 2)
    nothing: None = None


def test_the_digest_of_a_source_is_this_very_one() -> None:
    assert source_digest(FIXTURE.read_text(encoding="utf-8")) == OF_FIXTURE


def test_the_digest_of_values_is_this_very_one() -> None:
    assert digest({"b": [Values(), True], "a": 0.1}) == OF_VALUES
    assert digest({"a": 0.1, "b": (Values(), True)}) == OF_VALUES, "order of keys, kind of list"


def test_words_and_layout_do_not_count() -> None:
    plain = "def f(x):\n    return x + 1\nclass A:\n    b: int = 1\n"
    spoken = (
        '"""Module."""\n\n# why\ndef f(x):\n    """Do."""\n    return (x + 1)  # one\n'
        'class A:\n    """Class."""\n    b: int = 1\n    """Field."""\n'
    )
    assert source_digest(plain) == source_digest(spoken)
    assert source_digest("class A:\n    pass\n") == source_digest('class A:\n    """A."""\n')
    assert source_digest('x = "a" f"b{1}" ""\n') == source_digest('x = f"ab{1}"\n')


def test_every_change_of_what_is_computed_counts() -> None:
    known = set()
    for text in (
        "x = 1", "x = 1.0", "x = True", "x = None", "x = '1'", "x = b'1'", "x = -1", "y = 1",
        "x: int = 1", "x = (1,)", "x = [1]", "x = f'{1}'", "x = f'{1!r}'", "x = f'{1:>2}'",
        "def x(): return", "def x(): return None", "def x(a=1): return a", "async def x(): return",
        "if a: b()", "if a: pass\nelse: b()", "def x(*, a, b=1): ...", "def x(*, a=1, b): ...",
    ):  # fmt: skip
        found = source_digest(text)
        assert found not in known, text
        known.add(found)


def refusal(do: Callable[[], object]) -> str:
    """What is said when something is refused; nothing when it is not."""
    try:
        do()
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def test_what_has_no_one_spelling_is_refused() -> None:
    for value in (Path("a"), {1}, {1: 2}, b"a", float("nan"), float("inf"), object(), Values):
        assert "no canonical form" in refusal(lambda value=value: digest([value])), repr(value)


def test_closures_follow_imports_and_stop_where_told() -> None:
    package = digests.PACKAGE
    with tempfile.TemporaryDirectory() as folder:
        digests.PACKAGE = Path(folder) / "csbsr"
        digests.PACKAGE.mkdir()
        sources = {
            "a": "from csbsr import b\nimport csbsr.c as d\n",
            "b": "def f():\n    from csbsr.e import g\n    return g\n",
            "c": "from csbsr.protocol import X\n",
            "e": "g = 1\n",
            "protocol": "X = 1\n",
        }
        try:
            for name, text in sources.items():
                (digests.PACKAGE / f"{name}.py").write_text(text)
            assert list(code_closure(["csbsr.a"])) == [f"csbsr/{n}.py" for n in "abce"]
            assert list(code_closure(["csbsr.a"], ["csbsr.b"])) == [f"csbsr/{n}.py" for n in "abc"]
            before = code_closure(["csbsr.a"])
            (digests.PACKAGE / "e.py").write_text("g = 22\n")
            assert code_closure(["csbsr.a"]) != before
            assert "csbsr.gone" in refusal(lambda: code_closure(["csbsr.gone"]))
        finally:
            digests.PACKAGE = package


def interpreters() -> dict[str, str]:
    """Other Pythons of the versions that the package supports: version -> executable."""
    found = {}
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for minor in (11, 12, 13):
        name = f"python3.{minor}"
        candidates = [str(p) for p in sorted(root.glob(f"versions/*/bin/{name}"))]
        for path in [*candidates, shutil.which(name)]:
            if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
                found[name] = path
                break
    return found


def of_the_package() -> str:
    """One hash over the code of the whole package."""
    paths = sorted(digests.PACKAGE.rglob("*.py"))
    return digest([source_digest(path.read_text(encoding="utf-8")) for path in paths])


def test_every_python_found_agrees() -> None:
    if "--inner" in sys.argv:
        return
    mine = of_the_package()
    for name, path in interpreters().items():
        done = subprocess.run(
            [path, str(Path(__file__).resolve()), "--inner"], capture_output=True, text=True
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert done.stdout.strip() == mine, name


if __name__ == "__main__":
    for test_name, test in list(globals().items()):
        if test_name.startswith("test_"):
            test()
    print(of_the_package())
