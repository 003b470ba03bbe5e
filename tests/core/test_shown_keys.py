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
from evalguard.core.own_errors import not_ours, swallow
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
