"""The reference of the step file, as Markdown, from the models that read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from evalguard.step.config import data_sections, step_file, unions

SECTIONS: tuple[tuple[str, str, unions.Kinds], ...] = (
    ("model", "The model; one of:", unions.MODELS),
    ("data", "The data passed to `predict`; one of:", unions.DATA),
    ("labels", "The labels; row i of the predictions is scored against label i. One of:", unions.LABELS),
    ("predict", "", {"": step_file.Predict}),
    ("checks", "", {"": step_file.Checks}),
    ("metrics", "", {}),
    ("outputs", "", {"": step_file.Outputs}),
    ("mlflow", "", {"": step_file.MlflowSection}),
)
FEATURE = ("features", "Each entry of `features` under `tfrecord`:", data_sections.Feature)


def markdown() -> str:
    """One heading for each section, one table for each kind."""
    lines: list[str] = []
    for name, words, kinds in SECTIONS:
        lines += [f"## `{name}`", ""]
        if words:
            lines += [words, ""]
        if name == "metrics":
            lines += [_metrics(), ""]
        for kind, model in kinds.items():
            lines += [*([f"### `{name}: {{{kind}: …}}`", ""] if kind else []), *_model(model)]
        if name == "data":
            lines += [FEATURE[1], "", *_model(FEATURE[2])]
    return "\n".join(lines).rstrip() + "\n"


def _metrics() -> str:
    options = step_file.StepFile.model_json_schema()["properties"]["metrics"]["anyOf"]
    return next(str(option["description"]) for option in options if "description" in option)


def _model(model: type[BaseModel]) -> Iterator[str]:
    yield " ".join((model.__doc__ or "").split())
    yield ""
    yield "| key | value | default | |"
    yield "|---|---|---|---|"
    schema = model.model_json_schema(by_alias=True)
    required = schema.get("required", [])
    for name, entry in schema["properties"].items():
        default = "needed" if name in required else f"`{json.dumps(entry.get('default'))}`"
        description = " ".join(str(entry.get("description", "")).split())
        yield f"| `{name}` | {_kind(entry, schema)} | {default} | {description} |".replace("|  |", "| |")
    yield ""


def _kind(entry: dict[str, Any], schema: dict[str, Any]) -> str:
    """The values that an entry accepts, in words."""
    for union in ("anyOf", "oneOf"):
        if union in entry:
            kinds = [_kind(option, schema) for option in entry[union] if option.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "enum" in entry:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{entry['const']}`"
    if "$ref" in entry:
        return "as under `data`" if not entry["$ref"].endswith("Feature") else "feature"
    kind = entry.get("type")
    if kind == "array":
        return f"list of {_kind(entry.get('items', {}), schema)}"
    if kind == "object":
        below = entry.get("additionalProperties")
        return f"mapping to {_kind(below, schema)}" if isinstance(below, dict) and below else "mapping"
    if kind == "string" and "pattern" in entry and ":" in entry["pattern"]:
        known = {"models": "`models:/…` or `runs:/…`", "databricks": "URI"}
        return next((words for part, words in known.items() if part in entry["pattern"]), "`module:function`")
    if kind == "string" and "pattern" in entry:
        return "fraction"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
    return words.get(str(kind), "anything")
