"""A step file is strict: what is wrong is named with file, line, key path and the nearest valid name."""

import json

import jsonschema
import pytest
import yaml

import evalguard
from evalguard.step import config, load

GOOD = """\
version: 1
name: digits
model:
  path: model.keras
data:
  call: package.module:function
  args: {shuffle: false}
labels:
  path: labels.csv
  label: label
checks:
  require: identity
"""


def write(tmp_path, text):
    path = tmp_path / "step.yaml"
    path.write_text(text)
    return path


def test_a_good_file_is_read_with_its_defaults(tmp_path):
    step = config.read(write(tmp_path, GOOD))
    assert step.model.path == "model.keras"
    assert step.data.args == {"shuffle": False}
    assert step.checks.on_failure == "record"
    assert step.mlflow.enabled


WRONG = {
    "key": (
        ("require: identity", "requires: identity"),
        "line 12, checks.requires: unknown key. Did you mean 'require'?",
    ),
    "word": (("require: identity", "require: identty"), "line 12, checks.require: expected 'identity', 'labels'"),
    "type": (("require: identity", "strip_key: yes please"), "line 12, checks.strip_key: expected a valid boolean; found 'yes please'"),
    "version": (("version: 1", "version: 2"), "line 1, version: expected 1; found 2"),
    "top-level": (("name: digits", "nam: digits"), "line 2, nam: unknown key. Did you mean 'name'?"),
    "both": (("path: model.keras", "path: a\n  call: b:c"), "line 3, model: expected one of path, uri, call; found path and call"),
    "call": (("package.module:function", "package.module"), "line 6, data.call: expected module:function; found 'package.module'"),
    "missing": (("labels:\n  path: labels.csv\n", "labels:\n"), "line 8, labels: expected one of path, image_directory, from; found label."),
    "variable": (("labels.csv", "${EVALGUARD_UNSET}"), "labels.path: the variable EVALGUARD_UNSET is not set"),
    "tag": (("labels.csv", "!!python/object/apply:os.system ['true']"), "expected plain YAML, found the tag"),
    "twice": (("name: digits", "name: a\nname: b"), "line 3: the key name stands there a second time"),
    "syntax": (("name: digits", "name: [a"), "expected YAML, found:"),
    "list": ((GOOD, "- 1\n"), "expected a mapping with version, model, data and labels, found list"),
    "empty": ((GOOD, ""), "expected a mapping with version, model, data and labels, found NoneType"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(tmp_path, change, message):
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(evalguard.ConfigError) as caught:
        config.read(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_an_alias_bomb_is_refused_before_it_unfolds(tmp_path):
    levels = "\n".join(f"a{n + 1}: &a{n + 1} [{', '.join(['*a' + str(n)] * 20)}]" for n in range(9))
    path = write(tmp_path, f"a0: &a0 [x]\n{levels}\n")
    with pytest.raises(evalguard.ConfigError, match="more than 50 aliases"):
        config.read(path)


def test_a_huge_file_is_refused(tmp_path):
    with pytest.raises(evalguard.ConfigError, match="expected at most 1,000,000 bytes"):
        load.load(write(tmp_path, "#" * 1_000_001))


def test_variables_are_filled_in_with_their_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALGUARD_TEST_NAME", "from-environment")
    text = GOOD.replace("digits", "${EVALGUARD_TEST_NAME}").replace("labels.csv", "${EVALGUARD_UNSET:-other}.csv")
    step = config.read(write(tmp_path, text))
    assert (step.name, step.labels.path) == ("from-environment", "other.csv")


def test_the_schema_accepts_what_is_accepted_and_refuses_what_is_refused():
    schema = config.Step.model_json_schema()
    jsonschema.validate(yaml.safe_load(GOOD), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(GOOD), "chekcs": {}}, schema)
    assert json.dumps(schema)
