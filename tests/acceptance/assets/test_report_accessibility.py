"""Report and comparison page under axe-core, the rules that accessibility audits use, and on paper.

axe-core comes from npm and is looked for in $AXE_CORE, in node_modules here and above, and among global packages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from assets.report.comparison import write_comparison
from tests.acceptance.assets.test_report_in_browser import CHROMIUM, DRIVER, opened
from tests.support import REPOSITORY
from tests.support.results_world import published_world
from warehouse.home import Home

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")
LARGEST_PRINT_PAGES = 8


@cache
def axe_core() -> Path | None:
    """axe.min.js, where it is installed."""
    given = os.environ.get("AXE_CORE")
    roots = [Path(given)] if given else []
    roots += [folder / "node_modules" / "axe-core" / "axe.min.js" for folder in (REPOSITORY, *REPOSITORY.parents)]
    if npm := shutil.which("npm"):
        found = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False).stdout.strip()
        roots.append(Path(found) / "axe-core" / "axe.min.js")
    return next((file for file in roots if file.is_file()), None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = published_world(tmp_path_factory.mktemp("world"), paragraphs=60)
    names = ("world-step-00000", "world-step-00100")
    write_comparison(home, *names, home.report.with_name("comparison.html"))
    return home


@pytest.mark.parametrize("page", ["index.html", "comparison.html"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(home: Home, page: str, width: int, theme: str) -> None:
    if axe_core() is None:
        pytest.skip("axe-core is not installed (npm install axe-core, or name axe.min.js in $AXE_CORE)")
    with opened(home.report.with_name(page), width) as browser:
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
        browser.execute_script(axe_core().read_text(encoding="utf-8"))  # type: ignore[union-attr]
        found = browser.execute_async_script("axe.run().then(arguments[0])")
        assert len(found["passes"]) > 10
        serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], [n["html"][:160] for n in v["nodes"][:3]]) for v in serious] == []


@pytest.mark.parametrize("width", [390, 1280])
def test_the_comparison_stays_in_its_width(home: Home, width: int) -> None:
    with opened(home.report.with_name("comparison.html"), width) as browser:
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_targets_are_large_enough_to_hit(home: Home) -> None:
    """24 px either way, or alone in its line of text (WCAG 2.2, 2.5.8)."""
    small = """return [...document.querySelectorAll('button, select, input, summary, nav a, td a')]
        .filter(e => e.offsetParent).map(e => [e.outerHTML.slice(0, 90), e.getBoundingClientRect().height])
        .filter(([, height]) => height < 23.5)"""
    with opened(home.report, 390) as browser:
        assert browser.execute_script(small) == []


def test_it_prints_on_few_pages(home: Home, tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--print-to-pdf={target}"]
    subprocess.run([CHROMIUM, *flags, home.report.as_uri()], check=True, capture_output=True, timeout=120)  # type: ignore[list-item]
    pages = len(re.findall(rb"/Type\s*/Page\b", target.read_bytes()))
    assert 1 <= pages <= LARGEST_PRINT_PAGES
