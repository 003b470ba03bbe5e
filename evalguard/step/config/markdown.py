"""Write the reference of the step file as Markdown, from the pydantic models that read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from evalguard.step.config import data_sections, sections, step_file, unions


def markdown() -> str:
    """The reference: one heading for each section, one table for each kind."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    # Not escaped, because it is Markdown, and every text in it comes from evalguard.
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    environment.globals.update(
        unions=unions, step_file=step_file, feature=data_sections.Feature, call=sections.Call, described=_described
    )
    properties = step_file.StepFile.model_json_schema()["properties"]
    about = {
        name: next(option["description"] for option in properties[name]["anyOf"] if "description" in option)
        for name in ("metrics", "confirm")
    }
    return environment.get_template("reference.md.j2").render(**about).rstrip() + "\n"


def _described(model: type[BaseModel]) -> dict[str, Any]:
    """The description of a section, and the rows of its table."""
    schema = model.model_json_schema(by_alias=True)
    rows = []
    for name, entry in schema["properties"].items():
        default = "needed" if name in schema.get("required", []) else f"`{json.dumps(entry.get('default'))}`"
        description = " ".join(str(entry.get("description", "")).split())
        rows.append(f"| `{name}` | {_kind(entry, schema)} | {default} | {description} |".replace("|  |", "| |"))
    return {"about": " ".join((model.__doc__ or "").split()), "rows": rows}


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
