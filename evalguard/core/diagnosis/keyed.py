"""Keys that do not meet, or meet in another order."""

from __future__ import annotations

from pathlib import Path

from evalguard.core import key_differences
from evalguard.core.diagnosis.catalogue import cause, given_labels, is_image_iterator, read_labels, reader
from evalguard.core.diagnosis.orders import shuffles
from evalguard.core.diagnosis.sorted_orders import MIN_ROWS, ascends_by_key, order_of_names
from evalguard.core.diagnosis.view import MAX_KEY, View, named
from evalguard.core.findings import Cause
from evalguard.core.plural import plural, verb
from evalguard.core.shown_keys import shown_key

# Number of keys that the evidence names.
SHOWN = 3
# Fewer pairs of keys may differ in the same way by chance.
LEAST_PAIRS = 3


def differ(view: View) -> Cause | None:
    """The keys of stream and labels differ by a prefix, by zeros, …: all keys, or those without a partner."""
    carried, keys = view.trace.keys, view.labels.keys
    if carried is None or keys is None or view.labels.keyed_by_index:
        return None
    if view.samples is not None:
        at, without = view.outside, view.missing
        if not (view.by_key and at.size and without.size):
            return None
        carried = carried[at[: key_differences.MAX_KEYS]]
        keys = keys[without[: key_differences.MAX_KEYS]]
    found = key_differences.difference(carried, keys)
    # A few keys without a partner may differ in some way by chance, and any two numbers differ by an offset.
    if found is None or (view.samples is not None and (found.pairs < LEAST_PAIRS or found.name == "an offset")):
        return None
    ours, theirs = (shown_key(key, MAX_KEY) for key in (found.ours, found.theirs))
    evidence = (
        f"{found.pairs:,} of {plural(found.of, 'key')} without a partner differ from one by {found.what} only: "
        f"'{ours}' in the stream, '{theirs}' in the labels"
    )
    given, column = _table(view)
    # A file is read first, its keys as text.
    table = given if given.isidentifier() and not view.labels.origin.terms else "table"
    keys_of = f"{table}[{column!r}]"
    is_read = Path(view.labels.name).suffix.lower() in {".csv", ".jsonl"}
    text = ".astype(str)" * (keys.dtype.kind == "i" and not is_read and ".astype(" not in found.mended)
    assigned = f"{keys_of} = " + found.mended.replace("{keys}", keys_of + text)
    return cause(
        view,
        "keys_differ",
        certain=found.pairs == found.of >= LEAST_PAIRS,
        evidence=evidence,
        way=found.name,
        given=given,
        column=column,
        table=table,
        assigned=assigned,
        reading="" if table == given else f"{table} = {reader(view.labels.name, text=column)}; ",
        read_labels=reader(view.labels.name, text=column) if is_read else read_labels(view),
    )


def in_another_order(view: View) -> Cause | None:
    """Both sides have the same keys, and nothing in the source shuffles them."""
    keys, facts = view.labels.keys, view.facts
    if keys is None or view.labels.keyed_by_index or len(view.arrived) < MIN_ROWS or not view.moved:
        return None
    # Two swapped rows do not show how a side is sorted.
    if view.missing.size or view.duplicates or view.foreign or view.unnamed or view.moved == 2:
        return None
    if facts.get("shuffle") or "shuffle_buffer" in facts or facts.get("unordered") or view.with_other_keys.size:
        return None
    order = order_of_names(keys, of_some=True)
    # A stream that is sorted by key was not shuffled.
    fixed = view.keeps_order or bool(ascends_by_key(view))
    fixed = fixed or (facts.get("shuffle") is False and is_image_iterator(view))
    if not fixed and not shuffles(view):
        return None
    sorted_by = "each has another order"
    if order or ascends_by_key(view):
        one, other = ("labels", "rows") if order else ("rows", "labels")
        sorted_by = f"the {one} are sorted by key, the {other} are not"
    first = ", ".join(f"'{shown_key(keys[int(sample)], MAX_KEY)}'" for sample in view.arrived[:SHOWN])
    theirs = ", ".join(f"'{shown_key(keys[row], MAX_KEY)}'" for row in range(SHOWN))
    evidence = (
        f"{sorted_by}: the rows begin with {first}, the labels with {theirs}; {view.moved:,} of "
        f"{plural(len(view.arrived), 'row')} are out of position"
    )
    table, column = _table(view)
    # Of rows that carry no keys, content alone shows the order.
    certain = fixed and view.trace.keys is not None
    return cause(view, "keyed_order", certain=certain, evidence=evidence, given=table, column=column)


def apart(view: View) -> Cause | None:
    """Rows carry the keys of other samples than those that they hold by their content."""
    rows = view.with_other_keys
    if not rows.size:
        return None
    first = int(rows[0])
    key, sample = shown_key(view.trace.keys[first], MAX_KEY), shown_key(view.labels.keys[view.samples[first]], MAX_KEY)  # type: ignore[index]
    evidence = (
        f"{plural(rows.size, 'row')} {verb(rows.size, 'carries', 'carry')} the key of another sample than "
        f"{verb(rows.size, 'its', 'their')} content shows, such as '{key}' beside the inputs of '{sample}'"
    )
    return cause(view, "keys_apart", certain=False, evidence=evidence, column=_table(view)[1])


def other_version(view: View) -> Cause | None:
    """Some keys of the stream are not in the labels; some labels may have no row."""
    carried, keys = view.trace.keys, view.labels.keys
    if carried is None or keys is None or not view.by_key or view.labels.keyed_by_index or not view.foreign:
        return None
    if view.foreign == view.n_rows or view.duplicates or view.unnamed:
        return None
    came, went = view.outside, view.missing
    are = verb(came.size, "is", "are")
    evidence = f"{plural(came.size, 'key')} of the stream {are} not in the labels ({named(carried, came)})"
    if went.size:
        evidence += f", and {plural(went.size, 'label')} {verb(went.size, 'has', 'have')} no row ({named(keys, went)})"
    table, column = _table(view)
    return cause(view, "other_version", certain=False, evidence=evidence, given=table, column=column)


def _table(view: View) -> tuple[str, str]:
    """The table of labels as code, and its column of keys."""
    given = given_labels(view)
    return ("labels" if given == "y_true" else given), view.labels.origin.key_column or "id"
