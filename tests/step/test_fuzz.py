"""Any content of a step file: never a traceback, and never a PASS with a check silently off."""

import collections
import copy
import functools
import random
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalguard.errors import ConfigError
from evalguard.step.config import read, yaml_file
from evalguard.step.config.json_schema import NEEDED, step_schema
from tests.step import digits

ROOT = Path(__file__).parents[2]
SCHEMA = step_schema()
REAL = """\
version: 1
name: real
model: {path: model.keras}
data: {table: pixels.csv, key: id, target: label}
labels: {path: labels.csv, label: label, key: file}
predict: {batch_size: 16, verbose: 0}
checks:
  require: identity
  on_failure: record
  padding: forbid
  duplicate_inputs: forbid
outputs: {directory: out, predictions: true}
mlflow: {enabled: false, required: false}
"""

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10) | st.dates(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=5,
)


# Texts that match some pattern of the schema; a field with a pattern gets those that match it.
TEXTS = [
    "a",
    "labels.csv",
    "a:b",
    "models:/x/1",
    "runs:/r/m",
    "1/255",
    "sqlite:///x.db",
    "project.loading:test_images",
]


def drawn(schema):
    """Values that the schema allows."""
    if not isinstance(schema, dict):  # `true`: any value
        return anything
    if "$ref" in schema:
        return st.deferred(lambda: drawn(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]))
    for union in ("anyOf", "oneOf"):
        if union in schema and "properties" not in schema:
            return st.one_of([drawn(option) for option in schema[union]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        return mapping(schema)
    if kind == "object":
        return st.dictionaries(st.sampled_from(TEXTS[:2]), drawn(schema.get("additionalProperties") or {}), max_size=2)
    if kind == "array":
        few = {"min_size": schema.get("minItems", 0), "max_size": min(2, schema.get("maxItems", 2))}
        return st.lists(drawn(schema.get("items", {})), **few)
    simple = {
        "string": st.sampled_from([text for text in TEXTS if re.search(schema.get("pattern", ""), text)] or ["a"]),
        "integer": st.integers(schema.get("exclusiveMinimum", -2) + 1, 40),
        "number": st.floats(-1, 1),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return simple.get(kind, anything)


def mapping(schema):
    needed = set(schema.get("required", [])) | (set(NEEDED) if schema is SCHEMA else set())
    entries = {name: drawn(below) for name, below in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: below for name, below in entries.items() if name in needed},
        optional={name: below for name, below in entries.items() if name not in needed},
    )


def paths(value, at=()):
    """The key path of each value in a file, without the file itself."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*at, key)
        yield from paths(below, (*at, key))


@st.composite
def files(draw):
    """A file as the schema allows it; two of three have one thing about them changed."""
    value = copy.deepcopy(draw(drawn(SCHEMA)))
    change = draw(st.sampled_from(["none", "drop", "misspell", "replace", "add", "move"]))
    *above, last = draw(st.sampled_from(list(paths(value))))
    place = functools.reduce(lambda below, key: below[key], above, value)
    match change:
        case "drop":
            del place[last]
        case "misspell" if isinstance(last, str):
            place[f"{last}s"] = place.pop(last)
        case "replace":
            place[last] = draw(anything)
        case "add" if isinstance(place, dict):
            place[draw(st.text(max_size=8))] = draw(anything)
        case "move" if isinstance(place, dict):
            value[last] = place.pop(last)
    return change, value


def validates(text, tmp_path):
    """The steps; None if evalguard refused the file with a message."""
    path = tmp_path / "step.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        return read.read_all(path)
    except ConfigError as error:
        said = str(error)
    assert str(path) in said
    assert "Traceback" not in said
    assert "pydantic" not in said.lower()
    return None


def dump(step):
    return step.model_dump(by_alias=True)


def refuse_dropped(said, read):
    """Every key of the file is in what was read."""
    assert said.keys() <= read.keys(), said.keys() - read.keys()
    for name, section in said.items():
        if isinstance(section, dict) and name not in {"args", "features", "columns"}:
            refuse_dropped(section, read[name])


def refuse_weaker(said, read):
    """Each requirement of the file is in what was read."""
    for option, value in (said.get("checks") or {}).items():
        if option != "reference":
            assert read["checks"][option] == value, option


def test_a_file_of_the_schema_s_form_is_read_or_refused_in_words(tmp_path):
    told: collections.Counter[tuple[str, str]] = collections.Counter()
    schema = jsonschema.Draft202012Validator(SCHEMA)

    @given(drawn_file=files())
    @settings(max_examples=400, suppress_health_check=list(HealthCheck))
    def each(drawn_file):
        change, value = drawn_file
        text = yaml.safe_dump(value, allow_unicode=True)
        steps = validates(text, tmp_path)
        told[change, "refused" if steps is None else "read"] += 1
        if steps is None:
            return
        # A file that is read is also valid for an editor, and no key was dropped.
        assert schema.is_valid(yaml_file.load(tmp_path / "step.yaml")[0])
        for step, own in zip(steps, value.get("evaluations") or [value], strict=True):
            refuse_dropped({name: section for name, section in own.items() if section is not None}, dump(step))
            refuse_weaker(own, dump(step))

    each()
    unchanged = told["none", "read"], told["none", "refused"]
    assert unchanged[0] > unchanged[1], told
    assert sum(count for (_, how), count in told.items() if how == "read") >= 100, told
    assert sum(count for (_, how), count in told.items() if how == "refused") >= 100, told
    assert told["misspell", "refused"] >= 10, told


@given(text=st.text(max_size=200) | st.binary(max_size=200))
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
def test_any_text_is_refused_in_words(text, tmp_path):
    path = tmp_path / "step.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError):
        read.read_all(path)


def mutated(text, seed):
    """The file with one thing about it changed: a letter, a line, a value, an indent, a key."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    lines = text.splitlines()
    row = rng.randrange(len(lines))
    line = lines[row]
    column = rng.randrange(len(line) + 1)
    letter = rng.choice("abz019:{}[]#&*!|>-'\",.%@`\t ~\\é\x00\ud7ff")
    match rng.randrange(8):
        case 0:
            lines[row] = line[:column] + letter + line[column:]
        case 1:
            lines[row] = line[:column] + line[column + 1 :]
        case 2:
            del lines[row]
        case 3:
            lines.insert(row, lines[rng.randrange(len(lines))])
        case 4:
            lines[row] = rng.choice(["  ", " ", "\t"]) + line
        case 5:
            lines[row] = line.replace(
                rng.choice(["true", "false", "1", "record", "forbid"]), rng.choice(["yes", "0", "~"])
            )
        case 6:
            swap = list(line)
            if len(swap) > 1:
                at = rng.randrange(len(swap) - 1)
                swap[at], swap[at + 1] = swap[at + 1], swap[at]
            lines[row] = "".join(swap)
        case _:
            lines[row] = line.upper() if rng.random() < 0.5 else line.replace(":", "", 1)
    return "\n".join(lines) + "\n"


FILES = {
    "real": REAL,
    **{path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "configs").glob("*.yaml"))},
    "pipelines": (ROOT / "examples" / "pipelines" / "step.yaml").read_text(encoding="utf-8"),
    **{
        f"docs-{number}": block
        for number, block in enumerate(
            re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "step-file.md").read_text(), re.MULTILINE | re.DOTALL)
        )
    },
}


@pytest.mark.parametrize("name", FILES)
def test_mutated_files_are_refused_in_words_or_require_what_they_say(name, tmp_path):
    assert validates(FILES[name], tmp_path)
    demanded = yaml_file.load(tmp_path / "step.yaml")[0]["checks"]
    same = 0
    for seed in range(200):
        text = mutated(FILES[name], seed)
        steps = validates(text, tmp_path)
        if steps is None:
            continue
        whole = yaml_file.load(tmp_path / "step.yaml")[0]
        entries = whole.pop("evaluations", [{}])
        for step, own in zip(steps, entries, strict=True):
            sections = {section: value for section, value in {**whole, **own}.items() if value is not None}
            refuse_dropped(sections, dump(step))
            said = {**(whole.get("checks") or {}), **(own.get("checks") or {})}
            checks = step.checks.model_dump()
            for option in demanded:
                if checks[option] != demanded[option]:
                    # Weaker than before only where the file itself now says so, or no longer says anything.
                    assert option not in said or said[option] == checks[option], text
        same += 1
    assert 0 < same < 200, "some mutations do no harm, some do"


def test_mutated_files_that_are_run_never_pass_with_a_fault_planted(forms, command, tmp_path):
    """The labels of two rows are swapped: no change of the file gives a PASS, unless it requires less."""
    folder = digits.copied(forms, tmp_path / "digits")
    lines = (folder / "labels.csv").read_text().splitlines()
    lines[3], lines[50] = lines[50], lines[3]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    path = folder / "step.yaml"
    ran = 0
    for seed in range(200):
        text = mutated(REAL, seed)
        if validates(text, folder) is None:
            continue
        ran += 1
        if ran > 12:  # each takes a prediction
            break
        done = command("run", path, "-q")
        assert done.exit_code in {1, 2, 3}, (text, done.output)
        assert "Traceback" not in done.output
    assert ran > 10


def test_nothing_in_a_file_is_constructed_or_run(tmp_path):
    bombs = [
        f"!!python/object/apply:os.system ['touch {tmp_path}/was-here']",
        "!!python/name:os.system",
        "!<tag:yaml.org,2002:python/object/new:os.system> [x]",
        "!!binary not-base64!",
        "!!timestamp 2024-99-99",
        "!!int abc",
        "!!float x",
        "2024-13-45",
        "9" * 6000,
        "!!set {a, b}",
        "!!omap [a: 1]",
        "!local x",
    ]
    for bomb in bombs:
        validates(REAL.replace("name: real", f"name: {bomb}"), tmp_path)
    assert not (tmp_path / "was-here").exists()


def test_depth_aliases_and_size_are_limited(tmp_path):
    deep = "[" * 100 + "]" * 100
    assert validates(REAL.replace("name: real", f"name: {deep}"), tmp_path) is None
    assert validates(REAL.replace("name: real", f"name: {'[' * 100_000}"), tmp_path) is None
    aliases = "x: &a [1]\n" + "".join(f"y{n}: *a\n" for n in range(60))
    assert validates(REAL + aliases, tmp_path) is None
    itself = "name: &a [*a]"
    assert validates(REAL.replace("name: real", itself), tmp_path) is None
    assert yaml_file.MAX_ALIASES < 60
