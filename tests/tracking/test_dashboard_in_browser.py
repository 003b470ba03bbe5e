"""What a reviewer sees: a real MLflow server in headless Chromium, from the runs table to the plot in the report.

Run by ``make test-browser``. Needs ``chromium`` (the package of Debian) on the
path. Screenshots are kept in ``EVALGUARD_SCREENSHOTS``, by default
``screenshots/`` of the current folder, to be inspected.
"""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evalguard.cli.app import cli
from evalguard.core.policy import Verdict
from evalguard.tracking import views
from evalguard.tracking.new_run import NewRun, end
from tests.tracking.records import Store, report, unproven, write

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 90_000
USERS_TEXT = "Evaluation of the **new loader**, see the ticket."
# MLflow's own helper opens at the first visit and takes a third of the window.
NO_ASSISTANT = """
if (window === window.top) {
  localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
  localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
}
"""


# The visible columns of evalguard, from left to right.
COLUMNS_SHOWN = (
    "[...document.querySelectorAll('.ag-header-cell')]"
    ".sort((one, other) => one.getBoundingClientRect().left - other.getBoundingClientRect().left)"
    ".map(cell => cell.getAttribute('col-id')).filter(id => id.includes('evalguard'))"
)


class Evaluated(Store):
    """A store with a separate experiment, and its runs by name."""

    def __init__(self, uri, name):
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=uri).create_experiment(name)
        super().__init__(uri, name)
        self.name = name
        self.runs = {}


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    # These tests run only on request, so a missing browser is an error, not a skip.
    assert found, "expected chromium on the path; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    opened = browser.new_page(viewport={"width": 1500, "height": 800})
    opened.set_default_timeout(WAIT_MS)
    opened.add_init_script(NO_ASSISTANT)
    yield opened
    opened.close()


@pytest.fixture
def keep():
    folder = Path(os.environ.get("EVALGUARD_SCREENSHOTS", "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)

    def shoot(page, name):
        page.wait_for_timeout(1500)  # until fade-in effects have ended
        page.screenshot(path=folder / f"{name}.png")

    return shoot


@pytest.fixture(scope="module")
def evaluated(mlflow_server, tmp_path_factory):
    """An experiment with every outcome, and a registered model."""
    patch = pytest.MonkeyPatch()
    patch.setenv("EVALGUARD_SPOOL", str(tmp_path_factory.mktemp("spool")))
    patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    store = Evaluated(mlflow_server, "digits-nightly")
    order = np.random.default_rng(0).permutation(1797)
    outcomes = {"aligned": report(range(1797), 1797), "shuffled": report(order, 1797), "no-identity": unproven()}
    store.runs["never-guarded"] = named_run(store, "never-guarded")
    for name, judged in outcomes.items():
        run = store.runs[name] = named_run(store, name)
        store.client.set_tag(run, "mlflow.note.content", USERS_TEXT)
        judged = replace(judged, labels={**judged.labels, "name": "labels.csv"})
        write(store.sink(run), judged)
    store.runs["still-running"] = named_run(store, "still-running")
    store.sink(store.runs["still-running"]).begin("digits")
    for name in ("aligned", "shuffled"):
        register(store, store.runs[name])
    yield store
    patch.undo()


def named_run(store, name):
    time.sleep(0.01)  # the page sorts by time, so the times must differ
    return store.client.create_run(store.experiment_id, run_name=name).info.run_id


def register(store, run):
    model = store.client.create_logged_model(store.experiment_id, name="cnn", source_run_id=run)
    if not store.client.search_registered_models():
        store.client.create_registered_model("digits")
    source = f"models:/{model.model_id}"
    store.client.create_model_version("digits", source, run_id=run, model_id=model.model_id)


def cells(page, column):
    """Text by run of a column of the runs table."""
    page.locator(f".ag-header-cell[col-id='{column}']").wait_for()
    rows = page.locator(".ag-center-cols-container .ag-row").evaluate_all(
        "(rows, column) => rows.map(row => [row.getAttribute('row-index'), "
        "row.querySelector(`[col-id='${CSS.escape(column)}']`)?.innerText])",
        column,
    )
    return {int(number): (text or "").strip() for number, text in rows}


def test_the_runs_table_shows_the_verdict_of_each_run(evaluated, page, keep):
    done = CliRunner().invoke(cli, ["view", evaluated.name, "--save-view"])
    assert done.exit_code == 0, done.output
    page.goto(done.output.split()[-1])
    page.get_by_text("never-guarded").wait_for()
    page.get_by_text("UNPROVEN").wait_for()
    first = list(views.COLUMNS[:3])
    # The grid is drawn before the view's order and widths are put to it.
    page.wait_for_function(f"JSON.stringify({COLUMNS_SHOWN}.slice(0, 3)) === JSON.stringify({json.dumps(first)})")
    # Newest first.
    expected = ["PENDING", "UNPROVEN", "FAIL", "PASS", "-"]
    assert list(cells(page, "tags.`evalguard.verdict`").values()) == expected
    keep(page, "runs")


@pytest.mark.parametrize(
    ("question", "runs"),
    [
        ("proven", {"aligned"}),
        ("not proven", {"still-running", "no-identity", "shuffled"}),
        ("never guarded", {"never-guarded"}),
    ],
)
def test_an_address_shows_the_runs_that_it_says(evaluated, page, question, runs):
    page.goto(views.address(evaluated.uri, evaluated.experiment_id, views.FILTERS[question]))
    page.get_by_text("matching run").wait_for()
    page.get_by_role("link", name=next(iter(runs)), exact=True).wait_for()
    shown = {name for name in evaluated.runs if page.get_by_role("link", name=name, exact=True).count()}
    assert shown == runs


def test_the_overview_shows_the_note_beside_the_users_own_text_and_leads_to_the_report(evaluated, page, keep):
    page.goto(f"{evaluated.uri}/#/experiments/{evaluated.experiment_id}/runs/{evaluated.runs['shuffled']}")
    note = page.get_by_text("evalguard: FAIL")
    note.wait_for()
    assert page.locator("strong", has_text="new loader").count() == 1
    assert page.get_by_text("1,797 labels: labels.csv, digest").count() == 1
    assert "evalguard:begin" not in page.locator("body").inner_text()
    keep(page, "overview")
    with page.context.expect_page() as opened:  # MLflow opens links of a note in a new tab
        page.get_by_role("link", name="Report", exact=True).click()
    report_frame(opened.value)
    assert opened.value.url.endswith("/artifacts/evalguard/digits/report.html")


def report_frame(page):
    """The sandboxed frame that MLflow puts an HTML artifact in."""
    page.locator("iframe.mlflow-html-iframe").wait_for()
    frame = page.frame_locator("iframe.mlflow-html-iframe")
    frame.locator("h1").wait_for()
    return frame


@pytest.mark.parametrize("name", ["shuffled", "aligned"])
def test_the_report_is_drawn_in_the_frame_of_the_artifact_page(evaluated, page, keep, name):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    run = evaluated.runs[name]
    path = "artifacts/evalguard/digits/report.html"
    page.goto(f"{evaluated.uri}/#/experiments/{evaluated.experiment_id}/runs/{run}/{path}")
    frame = report_frame(page)
    assert ("FAIL" if name == "shuffled" else "PASS") in frame.locator("body").inner_text()
    plot = frame.locator("svg").first
    box = plot.bounding_box()
    assert box["width"] > 200
    assert box["height"] > 150
    drawn = plot.locator("path, line, rect, image, polyline, circle").count()
    assert drawn > 5, "a plot of 1,797 rows has axes and marks"
    assert errors == []
    keep(page, f"report-{name}")
    plot.scroll_into_view_if_needed()
    keep(page, f"report-{name}-plot")


def test_the_registry_s_table_shows_the_outcome_of_the_gate(evaluated, page, keep):
    codes = [
        CliRunner().invoke(cli, ["gate", "--model", f"models:/digits/{number}", "--tag-version"]).exit_code
        for number in (1, 2)
    ]
    assert codes == [0, 1]
    page.goto(f"{evaluated.uri}/#/models/digits")
    page.get_by_text("evalguard.verdict").first.wait_for()
    rows = {
        row.inner_text().split("Version ")[1].split()[0]: row.inner_text()
        for row in page.get_by_role("row").all()
        if "Version " in row.inner_text() and row.get_by_text("evalguard.verdict").count()
    }
    assert "PASS" in rows["1"]
    assert "FAIL" in rows["2"]
    keep(page, "registry")


def test_the_runs_table_shows_the_verdict_of_a_step_without_a_saved_view(evaluated, page, keep):
    client = evaluated.client
    experiment = client.create_experiment("steps")
    for verdict in (Verdict.PASS, Verdict.FAIL):
        run = client.create_run(experiment, run_name="digits").info.run_id
        client.set_tag(run, "evalguard.verdict", verdict)
        end(client, run, NewRun("digits", status="FINISHED"), int(time.time() * 1000))
    page.goto(f"{evaluated.uri}/#/experiments/{experiment}/runs")
    for name in ("digits: PASS", "digits: FAIL"):
        page.get_by_role("link", name=name, exact=True).wait_for()
    keep(page, "steps")
