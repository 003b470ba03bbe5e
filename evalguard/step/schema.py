"""JSON Schema of a step file, so that editors complete and check it."""

from __future__ import annotations

from typing import Any

from evalguard.step.config import StepFile

NEEDED = ("model", "data", "labels")


def step_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a step file.

    What it cannot say: that each of several evaluations has a model, data and
    labels of its own or shared ones; ``evalguard run`` checks that too.
    """
    schema = StepFile.model_json_schema(by_alias=True)
    alternatives = [{"required": list(NEEDED)}, {"required": ["evaluations"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "evalguard step",
        "anyOf": alternatives,
    }
