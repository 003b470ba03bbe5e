"""JSON Schema of a step file, with which editors complete and check it."""

from __future__ import annotations

from typing import Any

from evalguard.step.config.step_file import MAY_BE_EMPTY, StepFile

NEEDED = ("model", "data", "labels")


def step_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a step file.

    The schema cannot express that each of several evaluations needs a model, data
    and labels, in its own part or in the shared one; ``evalguard run`` checks it.
    """
    schema = StepFile.model_json_schema(by_alias=True)
    for sections in (schema, schema["$defs"]["Sections"]):
        sections["properties"] = {name: _never_empty(name, entry) for name, entry in sections["properties"].items()}
    alternatives = [{"required": list(NEEDED)}, {"required": ["evaluations"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "evalguard step",
        "anyOf": alternatives,
    }


def _never_empty(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A property without null: pydantic uses None for a missing section, but a file may not contain an empty one."""
    if name in MAY_BE_EMPTY:
        return entry
    options = [option for option in entry.get("anyOf", []) if option.get("type") != "null"]
    about = {key: value for key, value in entry.items() if key not in {"anyOf", "default"}}
    return entry if not options else {**about, **options[0]} if len(options) == 1 else {**about, "anyOf": options}
