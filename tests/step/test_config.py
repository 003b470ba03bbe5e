"""A step file is strict: a fault is reported with file, line, key path and the nearest valid name."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

import evalguard
from evalguard.step import run
from evalguard.step.config import read, yaml_file
from evalguard.step.config.json_schema import step_schema

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
    step = read.read_all(write(tmp_path, GOOD))[0]
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
    "type": (
        ("require: identity", "drop_key: yes please"),
        "line 12, checks.drop_key: expected a valid boolean; found 'yes please'",
    ),
    "version": (("version: 1", "version: 2"), "line 1, version: expected 1; found 2"),
    "top-level": (("name: digits", "nam: digits"), "line 2, nam: unknown key. Did you mean 'name'?"),
    "both": (
        ("path: model.keras", "path: a\n  call: b:c"),
        "line 3, model: expected one of path, uri, call; found path and call",
    ),
    "call": (
        ("package.module:function", "package.module"),
        "line 6, data.call: expected module:function; found 'package.module'",
    ),
    "missing": (
        ("labels:\n  path: labels.csv\n", "labels:\n"),
        "line 8, labels: expected one of path, image_directory, from; found label.",
    ),
    "variable": (("labels.csv", "${EVALGUARD_UNSET}"), "labels.path: the variable EVALGUARD_UNSET is not set"),
    "tag": (("labels.csv", "!!python/object/apply:os.system ['true']"), "expected plain YAML, found the tag"),
    "twice": (("name: digits", "name: a\nname: b"), "line 3: expected the key name once, found it again"),
    "syntax": (("name: digits", "name: [a"), "expected YAML, found:"),
    "list": ((GOOD, "- 1\n"), "expected a mapping with version, model, data and labels, found list"),
    "empty": ((GOOD, ""), "expected a mapping with version, model, data and labels, found NoneType"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_fault_is_reported_with_its_line(tmp_path, change, message):
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(evalguard.ConfigError) as caught:
        read.read_all(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_an_alias_bomb_is_refused_before_it_expands(tmp_path):
    levels = "\n".join(f"a{n + 1}: &a{n + 1} [{', '.join(['*a' + str(n)] * 20)}]" for n in range(9))
    path = write(tmp_path, f"a0: &a0 [x]\n{levels}\n")
    with pytest.raises(evalguard.ConfigError, match="at most 50 aliases"):
        read.read_all(path)


def test_a_missing_file_is_reported_with_the_command_that_writes_one(tmp_path):
    with pytest.raises(evalguard.ConfigError, match=r"expected a step file, found none there; evalguard init PATH"):
        read.read_all(tmp_path / "step.yaml")


def test_a_huge_file_is_refused(tmp_path):
    with pytest.raises(evalguard.ConfigError, match="expected at most 1,000,000 bytes"):
        yaml_file.load(write(tmp_path, "#" * 1_000_001))


def test_variables_are_filled_in_with_their_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALGUARD_TEST_NAME", "from-environment")
    text = GOOD.replace("digits", "${EVALGUARD_TEST_NAME}").replace("labels.csv", "${EVALGUARD_UNSET:-other}.csv")
    step = read.read_all(write(tmp_path, text))[0]
    assert (step.name, step.labels.path) == ("from-environment", "other.csv")


def test_the_schema_accepts_what_is_accepted_and_refuses_what_is_refused():
    schema = step_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(GOOD), "chekcs": {}}, schema)
    jsonschema.validate(yaml.safe_load(SEVERAL), schema)


SEVERAL = """\
version: 1
model: {path: model.keras}
labels: {path: labels.csv}
checks: {require: identity, padding: trim}
outputs: {directory: out}
evaluations:
  - name: first half
    data: {call: loading:half, args: {part: 1}}
  - name: second
    data: {call: loading:half, args: {part: 2}}
    labels: {path: other.csv, key: id}
    checks: {require: labels}
"""


def test_several_evaluations_share_the_sections_at_the_top(tmp_path):
    first, second = read.read_all(write(tmp_path, SEVERAL))
    assert (first.name, first.data.args, first.labels.path) == ("first half", {"part": 1}, "labels.csv")
    assert (second.labels.path, second.labels.key) == ("other.csv", "id")
    assert (first.checks.require, second.checks.require) == ("identity", "labels")
    assert first.checks.padding == second.checks.padding == "trim"
    assert (first.outputs.directory, second.outputs.directory) == ("out/first-half", "out/second")


SEVERAL_WRONG = {
    "own": (
        ("    checks: {require: labels}", "    checks: {requires: labels}"),
        "line 12, evaluations.1.checks.requires",
    ),
    "shared": (("padding: trim", "padding: cut"), "line 4, checks.padding: expected 'forbid' or 'trim'; found 'cut'"),
    "missing": (("model: {path: model.keras}\n", ""), "evaluations.0.model: this key is needed"),
    "twice": (("name: second", "name: First_half"), None),
    "same": (("name: second", "name: First half"), "evaluations.1.name: expected a different name"),
    "empty": (
        ("checks: {require: labels}", "checks:"),
        "line 12, evaluations.1.checks: expected a value, found nothing",
    ),
    "empty-shared": (("outputs: {directory: out}", "outputs:"), "line 5, outputs: expected a value, found nothing"),
    "none": ((SEVERAL[SEVERAL.index("evaluations") :], "evaluations: []"), "line 6, evaluations: expected"),
}


@pytest.mark.parametrize(("change", "message"), SEVERAL_WRONG.values(), ids=SEVERAL_WRONG)
def test_a_fault_in_one_of_several_evaluations_is_reported_with_its_line(tmp_path, change, message):
    path = write(tmp_path, SEVERAL.replace(*change))
    if message is None:
        assert len(read.read_all(path)) == 2
        return
    with pytest.raises(evalguard.ConfigError) as caught:
        read.read_all(path)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1, "said once, not for each evaluation"


def test_one_of_several_evaluations_may_have_no_metrics(tmp_path):
    text = SEVERAL.replace("checks: {require: identity,", "metrics: accuracy\nchecks: {require: identity,")
    first, second = read.read_all(write(tmp_path, text.replace("  - name: second", "  - name: second\n    metrics:")))
    assert (first.metrics, second.metrics) == ("accuracy", None)


NEAREST = {
    "kind": (
        "data:\n  call: package.module:function",
        "data:\n  tabel: x.csv",
        "line 5, data: expected one of call, arrays",
    ),
    "kind-near": (
        "data:\n  call: package.module:function",
        "data:\n  tabel: x.csv",
        "found tabel, args. Did you mean 'table'?",
    ),
    "option": (
        "call: package.module:function\n  args: {shuffle: false}",
        "images: x.csv\n  colour_mode: rgb",
        "line 7, data.colour_mode: unknown key. Did you mean 'color_mode'? Known here: color_mode, column",
    ),
    "feature": (
        "call: package.module:function\n  args: {shuffle: false}",
        "tfrecord: a\n  inputs: [x]\n  features:\n    x: {shpe: [3]}",
        "line 9, data.features.x.shpe: unknown key. Did you mean 'shape'?",
    ),
    "size": (
        "call: package.module:function\n  args: {shuffle: false}",
        "images: x.csv\n  size: [8]",
        "line 7, data.size: expected at least 2 items; found [8]",
    ),
    "scale": (
        "call: package.module:function\n  args: {shuffle: false}",
        "images: x.csv\n  rescale: 1/0",
        "line 7, data.rescale: expected a valid number, or expected a fraction such as 1/255; found '1/0'",
    ),
    "reference": ("require: identity", "reference: {cal: a:b}", "line 12, checks.reference: expected one of call,"),
    "uri": (
        "path: model.keras",
        "uri: model:/x/1",
        "line 4, model.uri: expected models:/NAME/VERSION, models:/NAME@ALIAS",
    ),
    "number": (
        "checks:\n",
        "predict: {batch_size: 0}\nchecks:\n",
        "line 11, predict.batch_size: expected greater than 0; found 0",
    ),
    "key": ("require: identity", "drop_key: true", "drop_key: expected `key: NAME` beside it, found no key"),
    "required": (
        "checks:\n",
        "mlflow: {required: true, enabled: false}\nchecks:\n",
        "mlflow.required: expected `enabled: true`",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), NEAREST.values(), ids=NEAREST)
def test_a_wrong_name_or_value_is_reported_with_the_nearest_valid_one(tmp_path, old, new, message):
    with pytest.raises(evalguard.ConfigError) as caught:
        read.read_all(write(tmp_path, GOOD.replace(old, new)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["checks.require=count"], ("count", {"part": 1}, {"part": 2})),
        (["evaluations.1.checks.require=count"], ("identity", {"part": 1}, {"part": 2})),
        (["data.args.part=[1, 2]"], ("identity", {"part": [1, 2]}, {"part": [1, 2]})),
    ],
)
def test_the_command_line_sets_shared_and_own_values(tmp_path, values, expected):
    first, second = read.read_all(write(tmp_path, SEVERAL), read.Settings(values))
    assert (first.checks.require, first.data.args, second.data.args) == expected
    if "checks" in values[0]:
        assert second.checks.require == "count", "an evaluation's own value is replaced as well"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("checks.requires=count", "--set, checks.requires: unknown key. Did you mean 'require'?"),
        ("checks.require", "expected KEY.PATH=VALUE"),
        ("=3", "expected KEY.PATH=VALUE"),
        ("name.deep.er=3", "expected a mapping at name, found none"),
        ("checks.require=!!python/name:os.system", "expected plain YAML, found the tag"),
        ("checks.require=[", "expected a YAML value"),
    ],
)
def test_a_wrong_value_of_the_command_line_is_named(tmp_path, value, message):
    with pytest.raises(evalguard.ConfigError) as caught:
        read.read_all(write(tmp_path, GOOD), read.Settings([value]))
    assert message in str(caught.value)


def test_a_variable_file_comes_before_the_environment_and_numbers_are_numbers(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALGUARD_TEST_NAME", "from-environment")
    file = tmp_path / "variables.env"
    file.write_text("# of this pipeline\nexport EVALGUARD_TEST_NAME='from-file'\n\nSTEPS=7\n")
    text = GOOD.replace("digits", "${EVALGUARD_TEST_NAME}") + "predict:\n  steps: '${STEPS}'\n"
    settings = read.Settings(variables=yaml_file.read_variables(file))
    with pytest.raises(evalguard.ConfigError, match=r"predict\.steps: expected a valid integer; found '7'"):
        read.read_all(write(tmp_path, text), settings)
    (step,) = read.read_all(write(tmp_path, text.replace("'${STEPS}'", "${STEPS}")), settings)
    assert (step.name, step.predict.steps) == ("from-file", 7)
    file.write_text("no pair\n")
    with pytest.raises(evalguard.ConfigError, match="line 1: expected NAME=value"):
        yaml_file.read_variables(file)


def test_nothing_is_imported_before_the_whole_file_is_valid(tmp_path, monkeypatch):
    (tmp_path / "eager.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = GOOD.replace("package.module:function", "eager:function") + "chekcs: {}\n"
    with pytest.raises(evalguard.ConfigError, match="chekcs: unknown key"):
        list(run.run_all(write(tmp_path, text)))


def test_the_published_schema_is_the_current_one():
    published = Path(__file__).parents[2] / "configs" / "step.schema.json"
    assert json.loads(published.read_text()) == step_schema(), (
        "make it again: evalguard schema > configs/step.schema.json"
    )


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_schema_accepts_the_files_of_the_repository(path):
    jsonschema.validate(yaml.safe_load(path.read_text()), step_schema())
    assert read.read_all(path)
