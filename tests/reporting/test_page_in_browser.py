"""The page in real headless Chromium: no script runs, nothing overflows, and it can be read without seeing it.

Run by ``make test-browser``. Needs ``chromium`` (the package of Debian) on the
path; the accessibility check fetches axe-core by ``npm pack``, or takes
``EVALGUARD_AXE``, the path of an ``axe.min.js``. Screenshots are kept in
``EVALGUARD_SCREENSHOTS``, by default ``screenshots/``, to be inspected.
"""

import html
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from evalguard.reporting.html import to_frame, to_html
from tests.reporting import samples

pytestmark = pytest.mark.browser

BROWSER = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)
PAGES = {
    "fail": samples.full(),
    "pass": samples.passing(),
    "unproven": samples.unproven_report(),
    "repaired": samples.repaired(),
    "raster": samples.failing(np.random.default_rng(0).permutation(20_000), 20_000),
    "extra": samples.failing([*range(100), *range(28), 500], 100),
    "few": samples.failing(np.concatenate([[2_000_000], np.arange(1, 2_000_000), [0]]), 2_000_001),
}
# Width and what else a page is shown in.
LOOKS = {
    "1280": (1280, {}),
    "720": (720, {}),
    "390": (390, {}),
    "390-dark": (390, {"color_scheme": "dark"}),
    "print": (720, {"media": "print"}),
}
HOSTILE_PAGES = {f"hostile-{name}": samples.hostile(text) for name, text in samples.HOSTILE.items()}
# Elements that reach beyond the window, other than those in a box that scrolls by itself.
MEASURE = """
const wide = [...document.querySelectorAll('body *')].filter(element => !element.closest('.scroll, svg')
  && element.getBoundingClientRect().right > window.innerWidth + 1).map(element => element.outerHTML.slice(0, 90));
const told = {width: window.innerWidth, page: document.documentElement.scrollWidth, wide};
const place = parent.document.createElement('pre');
place.id = 'told';
place.textContent = JSON.stringify(told);
parent.document.body.append(place);
"""
CHECK = """
axe.run(document, {resultTypes: ['violations']}).then(found => {
  const told = found.violations.map(item => [item.impact, item.id, item.nodes.map(node => node.html.slice(0, 90))]);
  document.body.innerHTML = '<pre id="told"></pre>';
  document.getElementById('told').textContent = JSON.stringify(told);
});
"""


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSER)), None)
    # Asked for by name, so not to be skipped.
    assert found, f"expected one of {', '.join(BROWSER)} on the path; on Debian: apt-get install chromium"
    return found


@pytest.fixture
def load(browser, tmp_path):
    """The document after a page was loaded."""

    def run(page, *, more=()):
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        arguments = [*QUIET.split(), f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,900", *more]
        command = [browser, *arguments, "--dump-dom", path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    return run


def unlocked(page, *scripts):
    """The page without its content policy and with scripts of the test: what holds here rests on escaping alone."""
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert bare != page
    return bare.replace("</body>", "".join(f"<script>{script}</script>" for script in scripts) + "</body>")


def told(document):
    (found,) = re.findall(r'<pre id="told">(.*?)</pre>', document, re.DOTALL)
    return json.loads(html.unescape(found))


@pytest.mark.parametrize("text", samples.HOSTILE.values(), ids=samples.HOSTILE)
@pytest.mark.parametrize("locked", [True, False], ids=["with-policy", "by-escaping-alone"])
def test_no_script_of_hostile_text_runs(load, text, locked):
    page = to_html(samples.hostile(text))
    document = load(page if locked else unlocked(page))
    (title,) = re.findall(r"<title>(FAIL: .*?)</title>", document)
    assert html.unescape(title).startswith("FAIL: ")
    assert not title.startswith("PWNED")
    assert "<script" not in document
    assert "<iframe" not in document
    assert "<img" not in document


def test_a_script_would_have_run_had_it_been_let_in(load):
    """The oracle of the test above sees what it looks for."""
    page = unlocked(to_html(samples.passing()), "document.title='PWNED'")
    assert "<title>PWNED</title>" in load(page)
    locked = to_html(samples.passing()).replace("</body>", "<script>document.title='PWNED'</script></body>")
    assert "<title>PWNED</title>" not in load(locked)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", [*PAGES, *HOSTILE_PAGES])
def test_nothing_overflows(load, name, width):
    page = unlocked(to_html({**PAGES, **HOSTILE_PAGES}[name]), MEASURE)
    # In a frame, as MLflow shows it; a browser window is never narrower than 500 pixels.
    frame = f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(page)}"></iframe>'
    found = told(load(f"<!doctype html><title>frame</title><body>{frame}</body>"))
    assert found["width"] == width
    assert found["page"] <= width
    assert found["wide"] == []


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    given = os.environ.get("EVALGUARD_AXE")
    if given:
        return Path(given).read_text(encoding="utf-8")
    npm = shutil.which("npm")
    assert npm, "expected npm on the path, or EVALGUARD_AXE to name an axe.min.js"
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run([npm, "pack", "axe-core@4"], cwd=folder, check=True, capture_output=True, timeout=300)
    with tarfile.open(next(folder.glob("axe-core-*.tgz"))) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_an_accessibility_check_finds_nothing(load, axe, name, scheme):
    page = unlocked(to_html(PAGES[name]), axe, CHECK)
    if scheme == "dark":
        assert "(prefers-color-scheme: dark)" in page
        page = page.replace("(prefers-color-scheme: dark)", "all")
    assert told(load(page, more=["--virtual-time-budget=20000"])) == []


@pytest.fixture(scope="module")
def screenshots(browser):
    """A browser that takes screenshots of whole pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser, args=QUIET.split()[1:])
        yield running
        running.close()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_verdict_and_what_to_do_are_on_the_first_screen(screenshots, tmp_path, name, look):
    width, options = LOOKS[look]
    screen = screenshots.new_page(viewport={"width": width, "height": 844})
    screen.emulate_media(**options)
    (tmp_path / "page.html").write_text(to_html(PAGES[name]), encoding="utf-8")
    screen.goto((tmp_path / "page.html").as_uri())
    folder = Path(os.environ.get("EVALGUARD_SCREENSHOTS", "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    screen.screenshot(path=folder / f"page-{name}-{look}.png", full_page=True)
    first = [screen.locator(place).first.bounding_box() for place in ("h1", ".first h2")]
    screen.close()
    assert all(box is not None and box["y"] + box["height"] < 500 for box in first)


def test_a_notebook_s_frame_shows_the_page_and_runs_nothing(load):
    frame = to_frame(samples.hostile(samples.HOSTILE["script"]))
    document = load(f"<!doctype html><title>notebook</title><body>{frame}</body>")
    assert "<title>notebook</title>" in document
    assert document.count("<iframe") == 1
    assert "<script" not in document
