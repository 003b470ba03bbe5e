"""The caller's own line and names: read for a report alone, and never where there is no source of what runs."""

import inspect
import linecache
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import evalguard
from evalguard.core.shown_keys import keys_shown
from evalguard.guards import call_line
from evalguard.guards.call_line import Place, caller_place, own_words

N = 30
X_HELD = np.random.default_rng(0).normal(size=(N, 4)).astype("float32")
Y_HELD = np.arange(N) % 3
ORDER = np.random.default_rng(1).permutation(N)
QUIET = {"reference": X_HELD, "on_failure": "record", "on_unproven": "record", "mlflow": False}


class Net:
    """What is called; it keeps the place of the call."""

    def predict(self, *args, **kwargs):
        del args, kwargs
        self.place = place_outside()
        return self


def place_outside():
    """The place of the call, as if this file were a part of evalguard."""
    frame = inspect.stack(0)[2].frame
    return Place(f"{frame.f_code.co_filename}:{frame.f_lineno}", frame.f_code, frame.f_lasti)


def words(net, **options):
    return own_words(net.place, Place(), options.get("method", "predict"))


@pytest.fixture(scope="module")
def network():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(3)(inputs))


def fix(report):
    before, after = report.diagnosis[0].remedy.splitlines()
    return before.removeprefix("before: "), after.removeprefix("after:  ")


def test_a_call_is_read_with_its_line():
    net = Net()
    batches = None
    rows = net.predict(batches, steps=7)  # a comment
    found = words(net)
    assert (found.line, found.call) == ("rows = net.predict(batches, steps=7)", "net.predict(batches, steps=7)")
    assert (found.model, found.source) == ("net", "batches")
    assert rows is net


def test_a_call_of_several_lines_is_shown_in_one():
    net = Net()
    # fmt: off
    net.predict(
        "ä",  # a comment
        steps=7,
    )
    # fmt: on
    assert words(net).line == words(net).call == "net.predict('ä', steps=7)"


def test_of_two_calls_in_a_line_it_is_the_one_that_is_made():
    net, other = Net(), Net()
    pair = [net.predict("ö", 1), other.predict("b", 2)]
    assert words(net).source == "'ö'"
    assert words(other).source == "'b'"
    assert words(net).line.startswith("pair = [net.predict(")
    assert len(pair) == 2


def test_a_loop_is_shown_as_its_call():
    net = Net()
    for _ in [net.predict(1) for _ in range(2)]:
        pass
    assert words(net).line == "net.predict(1)"


def test_of_a_line_with_more_statements_only_the_call_is_shown():
    net = Net()
    # fmt: off
    if N: net.predict(1)  # noqa: E701
    assert words(net).line == "net.predict(1)"
    rows = 1; net.predict(rows)  # noqa: E702
    # fmt: on
    assert words(net).line == "net.predict(rows)"


def test_a_call_that_is_not_the_method_is_not_shown():
    net = Net()
    net.predict(1)
    assert words(net, method="evaluate").line == ""
    assert words(net, method="evaluate").place == net.place.line


@pytest.mark.parametrize("size", [call_line.LONGEST, call_line.LONGEST + 40])
def test_a_long_line_is_not_shown(tmp_path, size, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    argument = "a" * (size - len("y = net.predict()"))
    (tmp_path / f"long_{size}.py").write_text(f"def run(net, {argument}):\n    y = net.predict({argument})\n")
    net = Net()
    __import__(f"long_{size}").run(net, 1)
    assert bool(words(net).line) is (size == call_line.LONGEST)


def test_a_file_that_was_changed_since_it_runs_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "edited.py"
    path.write_text("def run(net):\n    return net.predict(1)\n")
    net = Net()
    __import__("edited").run(net)
    for text in ("# another line\ndef run(net):\n    return net.predict(1)\n", "", "def run(net):\n    return 'ä'\n"):
        path.write_text(text)
        linecache.checkcache()
        assert words(net).line == ""


def test_code_without_source_has_a_line_only():
    net = Net()
    exec(compile("net.predict(1)", "<stdin>", "exec"), {"net": net})  # noqa: S102
    assert words(net) == type(words(net))("<stdin>:1")
    assert own_words(Place(), Place(), "predict") == type(words(net))()


def test_code_without_positions_has_a_line_only(tmp_path):
    (tmp_path / "script.py").write_text(
        "import evalguard\nr = evalguard.check(indices=[1, 0], labels=2)\nprint(r.diagnosis[0].remedy, r.caller)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-X", "no_debug_ranges", "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "{'line': 'script.py:2'}" in ran.stdout


def test_code_in_a_zipped_package_has_a_line_only(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as file:
        file.writestr("zipped_run.py", "def run(net):\n    return net.predict(1)\n")
    monkeypatch.syspath_prepend(tmp_path / "zipped.zip")
    net = Net()
    __import__("zipped_run").run(net)
    assert words(net).line == ""


@pytest.mark.parametrize("shown", [True, False])
def test_text_and_numbers_of_a_line_are_not_shown_where_keys_are_not(shown):
    net = Net()
    batches = None
    net.predict(batches, "patient 7")
    with keys_shown(shown):
        assert bool(words(net).line) is shown
        assert words(net).source == "batches"
    rows_2 = None
    net.predict(rows_2)
    with keys_shown(shown):
        assert words(net).source == "rows_2"
    net.predict(917398)
    with keys_shown(shown):
        assert bool(words(net).source) is bool(words(net).line) is shown


def test_the_fix_of_a_guard_has_the_names_of_its_block(network):
    shuffled_rows = X_HELD[ORDER]
    with evalguard.guard(labels=Y_HELD, **QUIET) as g:
        scores = network.predict(shuffled_rows, verbose=0)
    before, after = fix(g.report)
    assert before.startswith(
        "shuffled_rows = shuffled_rows[order]; scores = network.predict(shuffled_rows, verbose=0)  # "
    )
    assert before.endswith(g.report.caller["line"])
    assert "Y_HELD = Y_HELD[order]; scores = network.predict(shuffled_rows, verbose=0)" in after
    assert len(scores) == N


def test_each_report_has_the_line_of_its_call(network):
    shuffled_rows = X_HELD[ORDER]
    with evalguard.guard(labels=Y_HELD, **QUIET) as g:
        network.predict(X_HELD, verbose=0)
        second = network.predict(shuffled_rows, verbose=0)
    lines = [int(report.caller["line"].rpartition(":")[2]) for report in g.reports]
    assert lines[1] == lines[0] + 1
    assert "second = network.predict(shuffled_rows" in fix(g.reports[1])[0]
    assert len(second) == N


def test_a_session_has_the_line_of_its_first_call(network):
    with evalguard.guard(labels=Y_HELD, **QUIET, scope="session") as g:
        network.predict(X_HELD[ORDER[:8]], verbose=0)
        network.predict(X_HELD[ORDER[8:]], verbose=0)
    line = caller_place().line.rpartition(":")
    assert g.report.caller == {"line": f"{line[0]}:{int(line[2]) - 2}"}


def test_labels_of_check_have_the_name_of_their_variable():
    delivered = ORDER
    report = evalguard.check(indices=delivered, labels=Y_HELD)
    assert "metric(Y_HELD[indices], y_pred)" in fix(report)[1]


class Entry:
    """A block that keeps its place."""

    def __init__(self, **options):
        self.options = options

    def __enter__(self):
        self.place = place_outside()
        return self

    def __exit__(self, *error):
        pass


def test_labels_are_those_of_the_statement_that_opens_the_block():
    truth, other = 1, 2
    with Entry(
        reference=1,
        labels=truth,
    ) as several_lines:
        pass
    with Entry(labels=truth) as one, Entry(labels=truth):
        Entry(labels=other)
    with Entry(labels=truth), Entry(labels=other) as two:
        pass
    with Entry(labels=[truth]) as no_name:
        pass
    with one as unknown:
        pass
    named = [own_words(Place(), entry.place, "predict").labels for entry in (several_lines, one, two, no_name, unknown)]
    assert named == ["truth", "", "", "", ""]  # `one` was entered again


def test_no_source_is_read_without_a_fix(network, monkeypatch):
    monkeypatch.setattr(linecache, "getlines", lambda *given: pytest.fail("source was read"))
    with evalguard.guard(labels=Y_HELD, **QUIET) as g:
        network.predict(X_HELD, verbose=0)
    assert g.report.verdict is evalguard.Verdict.PASS


def test_what_reading_raises_reaches_nobody(network, monkeypatch):
    monkeypatch.delenv("EVALGUARD_STRICT", raising=False)
    monkeypatch.setattr(linecache, "getlines", lambda *given: 1 / 0)
    with evalguard.guard(labels=Y_HELD, **QUIET) as g:
        network.predict(X_HELD[ORDER], verbose=0)
    assert fix(g.report)[0].endswith(g.report.caller["line"])
