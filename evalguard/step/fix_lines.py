"""The lines of a fix for a step, with the user's other options of the section that they change."""

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
# The options that name what kind of labels a section describes.
LABEL_KINDS = {"path", "image_directory", "from"}
# Characters of a section that a fix shows.
LONGEST = 120


def in_its_terms(labels: Labels, step: Step) -> Labels:
    """The labels of a step, for fixes in the terms of its file."""
    named = {name: getattr(step, name) for name in ("data", "labels", "predict", "checks")}
    # What a function is called with may be anything, a password too.
    form: Any = {"mode": "json", "by_alias": True, "exclude_unset": True, "exclude": {"args"}}
    given = {name: section.model_dump(**form) for name, section in named.items()}
    sections = {name: options for name, options in given.items() if options and len(flow(options)) <= LONGEST}
    terms = {"in": "step", "data": flow(sections["data"])} if "data" in sections else {"in": "step"}
    origin = replace(labels.origin, terms=terms, written=functools.partial(written, sections))
    return replace(labels, origin=origin)


def written(sections: Mapping[str, Mapping[str, Any]], line: str, changed: bool) -> str:
    """A line of a fix: ``checks: {on_failure: repair}`` with the other options of that section.

    Args:
        sections: The options of each section, as the file has them.
        line: The line; anything but a section is left as it is.
        changed: The options of the line replace those of the file, and null
            removes one; else those of the file are shown.
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
        # Labels of another kind have no option of the others.
        kept = {} if LABEL_KINDS & change.keys() - given.keys() else given
        given = {name: value for name, value in {**kept, **change}.items() if value is not None}
    return "  # ".join([f"{section[1]}: {flow(given)}", *comment])


def flow(options: Mapping[str, Any]) -> str:
    """Options in one line: ``{path: labels.csv, key: file}``."""
    dumped: str = yaml.safe_dump(dict(options), default_flow_style=True, width=math.inf, sort_keys=False)
    dumped = dumped.strip()
    # JSON is YAML, and escapes the end of a line. What the user is to fill in needs no quotes.
    return json.dumps(options) if "\n" in dumped else dumped.replace("'...'", "...")
