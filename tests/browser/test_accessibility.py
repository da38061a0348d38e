"""axe-core finds nothing on any page, in light and dark."""

from collections.abc import Callable

import pytest
from rendered import SCHEMES, Scheme, Visit, pages

UNFOLD = "document.querySelectorAll('main details').forEach(d => d.open = d.className !== 'module')"


@pytest.fixture(scope="session")
def axe() -> object:
    """The checker of axe-core, which its package brings along."""
    module = pytest.importorskip("axe_playwright_python.sync_playwright")
    return module.Axe()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", pages())
def test_axe(visit: Callable[..., Visit], axe: object, name: str, scheme: Scheme) -> None:
    seen = visit(name, scheme=scheme, query="?q=beta" if name == "search" else "")
    seen.page.evaluate(UNFOLD)
    found = axe.run(seen.page, options={"resultTypes": ["violations"]})
    lines = [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')[:160]}"
        for violation in found.response["violations"]
        for node in violation["nodes"][:3]
    ]
    assert not lines, "\n".join(lines)
