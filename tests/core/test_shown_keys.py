"""How keys are shown, and where they are hidden."""

import hashlib
import hmac
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

import evalguard
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.own_errors import not_ours, swallow
from evalguard.core.policy import Policy
from evalguard.core.shown_keys import (
    SALT,
    SHOW,
    error_text,
    hidden,
    keys_shown,
    shown_key,
    shown_value,
    stored_key,
    trace_text,
)
from evalguard.core.trace import UNKNOWN, SourceState, Trace
from evalguard.errors import LabelsError

LONG = "x" * 500


def test_a_key_is_shown_as_it_is_unless_it_is_hidden():
    assert (shown_key("a\x1b"), stored_key("a\x1b"), shown_value(0.5)) == ("a\\u001b", "a\x1b", "0.5")
    assert (len(shown_key(LONG)), stored_key(LONG)) == (81, LONG)
    with keys_shown(False):
        assert shown_key("a") == stored_key("a") == evalguard.key_digest("a")
        assert shown_value(0.5) == "(hidden)"
    assert shown_key("a") == "a"


def test_a_block_that_shows_keys_does_not_show_them_inside_one_that_hides_them():
    with keys_shown(False), keys_shown(True):
        assert hidden()
    with pytest.raises(ZeroDivisionError), keys_shown(False):
        _ = 1 / 0
    assert not hidden()


def test_another_thread_has_its_own_blocks():
    seen = []
    with keys_shown(False):
        thread = threading.Thread(target=lambda: seen.append(hidden()))
        thread.start()
        thread.join()
    assert seen == [False]


@pytest.mark.parametrize(("value", "hides"), [("0", True), ("false", True), ("1", False), ("", False)])
def test_the_environment_hides_all_keys(monkeypatch, value, hides):
    monkeypatch.setenv(SHOW, value)
    assert hidden() is hides
    report = evalguard.check(keys=["b", "a"], labels=evalguard.Labels(values=np.arange(2), keys=np.array(["a", "b"])))
    assert ("show_keys" in report.options) is hides


def test_a_digest_is_an_hmac_of_the_key_with_the_salt_of_the_environment(monkeypatch):
    monkeypatch.setenv(SALT, "pepper")
    expected = hmac.new(b"pepper", b"patient 7", hashlib.sha256).hexdigest()
    assert evalguard.key_digest("patient 7") == f"#{expected[:12]}"
    for same in (7, np.int64(7), "7", np.str_("7"), b"7"):
        assert evalguard.key_digest(same) == evalguard.key_digest("7")
    assert evalguard.key_digest("\udc80") != evalguard.key_digest("\udc81")


def test_without_a_salt_each_process_has_another_one(monkeypatch):
    monkeypatch.delenv(SALT, raising=False)
    ours = evalguard.key_digest("a")
    assert re.fullmatch("#[0-9a-f]{12}", ours)
    assert evalguard.key_digest("a") == ours
    program = "import evalguard; print(evalguard.key_digest('a'))"
    theirs = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout}
    assert ours not in {text.strip() for text in theirs}


def test_a_foreign_error_keeps_its_message_to_itself_where_keys_are_hidden():
    assert error_text(KeyError("patient")) == "KeyError: 'patient'"
    with keys_shown(False):
        assert error_text(KeyError("patient")) == "KeyError: (message withheld: it may name keys)"
        assert error_text(LabelsError("ours")) == "LabelsError: ours"
        with pytest.raises(KeyError) as caught, not_ours():
            raise_key_error()
        assert "patient" not in swallow(caught.value)


def raise_key_error() -> None:
    names: dict[str, int] = {}
    _ = names["patient"]


def test_an_error_that_leaves_the_block_keeps_its_message_to_itself():
    with pytest.raises(KeyError, match="patient") as caught, keys_shown(False), not_ours():
        raise_key_error()
    assert "'patient'" not in error_text(caught.value) + swallow(caught.value)
    assert trace_text(caught.value).endswith("KeyError: (message withheld: it may name keys)\n")
    with pytest.raises(KeyError) as shown, keys_shown(True), not_ours():
        raise_key_error()
    assert trace_text(shown.value).endswith("KeyError: 'patient'\n")


ORDERS = {
    "shuffled": lambda rng, n: rng.permutation(n),
    "rolled": lambda rng, n: np.roll(np.arange(n), int(rng.integers(1, n))),
    "reversed": lambda rng, n: np.arange(n)[::-1],
    "left out": lambda rng, n: np.delete(np.arange(n), rng.integers(0, n, 2)),
    "by text": lambda rng, n: np.argsort(np.arange(n).astype(str)),
    "resampled": lambda rng, n: rng.integers(0, n, n),
    "strided": lambda rng, n: np.concatenate([np.arange(n)[::2], np.arange(n)[1::2]]),
    "twice": lambda rng, n: np.concatenate([np.arange(n), np.arange(3)]),
    "in order": lambda rng, n: np.arange(n),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["text", "padded", "numbers"])
def test_no_cause_and_no_finding_names_a_key(order, kind):
    rng = np.random.default_rng(len(order))
    for _ in range(12):
        n = int(rng.integers(4, 60))
        keys = {
            "text": np.array([f"Ax7Q{row}" for row in range(n)], "U20"),
            "padded": np.array([f"{row:04d}-Ax7Q" for row in rng.permutation(n)], "U20"),
            "numbers": 917_300 + np.arange(n),
        }[kind]
        carried = keys[ORDERS[order](rng, n)]
        if rng.random() < 0.3:
            carried[1] = "Ax7Q_foreign" if kind != "numbers" else 917_999
        source = SourceState(kind=str(rng.choice(["generator", "tf.data", "pydataset", "batch"])), type_name="Loader")
        trace = Trace(
            len(carried), np.full(len(carried), UNKNOWN), keys=carried, sources=(source,), calls=(len(carried),)
        )
        labels = LabelTable(values=np.arange(n) % 3, keys=keys)
        report = judge(trace, labels, Policy(show_keys=False)).report
        assert not re.search(r"Ax7Q|917[39]\d\d", report.to_json())
