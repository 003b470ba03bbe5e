"""Write the fix of a cause as lines of the user's step file, with the other options of the section that it changes."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml

from evalguard.labels.labels import Labels
from evalguard.step.config.step_file import Step

SECTION = re.compile(r"(data|labels|predict|checks): \{")
# The options that name the kind of labels.
LABEL_KINDS = {"path", "image_directory", "from"}
# A longer section, in characters, is not shown in a fix.
LONGEST = 120


def in_its_terms(labels: Labels, step: Step) -> Labels:
    """The labels of a step, with what is needed to write fixes as lines of its file."""
    named = {name: getattr(step, name) for name in ("data", "labels", "predict", "checks")}
    # The arguments of a function are left out, because they may hold anything, even a password.
    form: Any = {"mode": "json", "by_alias": True, "exclude_unset": True, "exclude": {"args"}}
    given = {name: section.model_dump(**form) for name, section in named.items()}
    sections = {name: options for name, options in given.items() if options and len(flow(options)) <= LONGEST}
    terms = {"in": "step", "data": flow(sections["data"])} if "data" in sections else {"in": "step"}
    origin = replace(labels.origin, terms=terms, written=functools.partial(written, sections, places=step.places))
    return replace(labels, origin=origin)


def written(
    sections: Mapping[str, Mapping[str, Any]], line: str, changed: bool, places: Mapping[str, str] | None = None
) -> str:
    """A line of a fix: ``checks: {on_failure: repair}`` with the other options of that section.

    Args:
        sections: The options of each section, as the file has them.
        line: The line; if it is not a section, it is returned unchanged.
        changed: If True, the options of the line replace those of the file,
            and null removes an option. If False, the line shows those of the
            file.
        places: File and line of each section, shown with the options of the file.
    """
    code, *comment = line.split("  # ", 1)
    section = SECTION.match(code)
    given = sections.get(section[1]) if section else None
    if section is None or given is None:
        return line
    try:
        change = yaml.safe_load(code)[section[1]]
    except yaml.YAMLError:  # a name that needs other quotes
        return line
    if changed:
        # If the fix changes the kind of labels, the options of the old kind do not apply.
        kept = {} if LABEL_KINDS & change.keys() - given.keys() else given
        given = {name: value for name, value in {**kept, **change}.items() if value is not None}
    elif place := (places or {}).get(section[1]):
        comment = [f"{place}{''.join(f', {text}' for text in comment)}"]
    return "  # ".join([f"{section[1]}: {flow(given)}", *comment])


def flow(options: Mapping[str, Any]) -> str:
    """Options as one line of YAML: ``{path: labels.csv, key: file}``."""
    dumped: str = yaml.safe_dump(dict(options), default_flow_style=True, width=math.inf, sort_keys=False)
    dumped = dumped.strip()
    # JSON is valid YAML and escapes line breaks. The placeholder `...`, for the user to replace, needs no quotes.
    return json.dumps(options) if "\n" in dumped else dumped.replace("'...'", "...")
