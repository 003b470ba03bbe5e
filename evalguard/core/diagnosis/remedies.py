"""The fix as two lines, before and after, in the terms of the kind of source that was used.

An array has no ``shuffle=``, a loop no ``steps``, a ``DataLoader`` no ``batch``:
a remedy must not name what the source does not have.
"""

from __future__ import annotations

from typing import TypedDict

from evalguard.core.diagnosis.view import View

# Image iterators are made by a method of another name.
ITERATOR_FACTORIES = {
    "DirectoryIterator": "flow_from_directory",
    "DataFrameIterator": "flow_from_dataframe",
    "NumpyArrayIterator": "flow",
}
METRIC_METHODS = ("evaluate", "test_on_batch")


class RemedyLines(TypedDict):
    """A remedy as two lines."""

    before: str
    after: str


def lines(before: str, after: str) -> RemedyLines:
    """A remedy as two lines."""
    return {"before": before, "after": after}


def factory(view: View) -> str:
    """The call that creates the source: ``Images``, ``DataLoader``, ``flow_from_directory``."""
    return "DataLoader" if view.is_loader else ITERATOR_FACTORIES.get(view.source.type_name, view.name)


def is_image_iterator(view: View) -> bool:
    """Whether the source is an image iterator of Keras, by its class; it knows the file of each row."""
    return view.kind == "pydataset" and view.source.type_name in ITERATOR_FACTORIES


# -- Another order ----------------------------------------------------------------------------------------------------


def shuffled(view: View, *, declared: bool) -> RemedyLines:
    """Rows in random order; ``declared``: the source itself has ``shuffle=True``."""
    if view.kind == "arrays":
        return lines(
            f"x = x[order]; {view.called}",
            f"x = x[order]; y_true = y_true[order]; {view.called}  # reorder the labels too, or do not reorder x",
        )
    if view.is_loop:
        return lines(f"{view.called}  # loader shuffles", f"{view.called}  # loader reads in label order")
    if view.is_tf:
        return lines(
            f"{view.name}.shuffle(...)",
            f"{view.name}  # no shuffle, or labels in its order: evalguard.Labels.collect({view.name})",
        )
    if view.is_pipeline:
        return lines(f"{view.name}.shuffle(...)", f"{view.name}  # without shuffle")
    if declared or view.is_loader or is_image_iterator(view):
        return lines(f"{factory(view)}(..., shuffle=True)", f"{factory(view)}(..., shuffle=False)")
    return lines(
        f"order = rng.permutation({view.n})  # in {view.name}, or in what it reads from",
        f"order = np.arange({view.n})  # or reorder the labels too: y_true[order]",
    )


def reshuffled(view: View) -> RemedyLines:
    """Another order at each pass."""
    if view.is_pipeline:
        return lines(
            f"labels = np.concatenate([y for x, y in ds]); {view.call('ds')}",
            f"labels = evalguard.Labels.collect(ds); {view.call('ds')}  # ds without shuffle, or on_failure='repair'",
        )
    return lines(
        f"def __getitem__(self, index): ...  # {view.name}: returned different data on a second call",
        f"def __getitem__(self, index): ...  # {view.name}: return the same rows at every call, in every pass",
    )


def window(view: View, size: int) -> RemedyLines:
    """Rows out of order within a window of ``size`` rows."""
    if view.is_tf:
        return lines(
            f"ds.shuffle({size})  # or map(..., deterministic=False)", "ds  # without shuffle, deterministic=True"
        )
    if view.is_pipeline or view.is_loader:
        return lines(
            f"{view.called}  # rows pass through a shuffle buffer of {size}",
            f"{view.called}  # without the buffer, or collect the labels in the same pass",
        )
    return unordered_pool(view)


def batches_overtake(view: View) -> RemedyLines:
    """Batches arrive as soon as they are ready, not in order."""
    if view.is_tf:
        call = "ds.map(load, num_parallel_calls=..., deterministic={})"
        return lines(call.format(False), call.format(True))
    if view.is_loader:
        return lines("DataLoader(..., num_workers=..., in_order=False)", "DataLoader(..., num_workers=...)  # in order")
    return unordered_pool(view)


def unordered_pool(view: View) -> RemedyLines:
    """A pool returns results as soon as they are ready, not in order."""
    form = "pool.{}(load, ids)"
    if view.kind == "arrays":
        form = "x = np.concatenate(list(pool.{}(load, ids)))"
    elif view.is_loop:
        form = f"for batch in pool.{{}}(load, ids): {view.call('batch')}"
    return lines(form.format("imap_unordered"), form.format("imap"))


def queue(view: View) -> RemedyLines:
    """Order lost between source and model."""
    if "workers" not in view.facts:
        return lines(
            f"{view.called}  # through an unordered queue", f"{view.called}  # one reader, or an ordered queue"
        )
    alternative = "or an ordered queue"
    if view.one_shot:
        alternative = "or a PyDataset (tf_keras: Sequence), which keeps the order"
    return lines(f"{view.called}  # workers={view.facts['workers']}", f"{view.called}  # workers=1, {alternative}")


def sorted_otherwise(view: View, *, by_key: bool) -> RemedyLines:
    """The same rows in another sort order than the labels."""
    key, rows = ("file", "it.filenames") if is_image_iterator(view) else ("id", "ids_as_streamed")
    known = "score g.y_true, each row's own label"
    return lines(
        "labels = table['label']  # in the order of the table",
        f"labels = table.set_index({key!r}).loc[{rows}, 'label']  # or "
        + (known if by_key else f"evalguard.guard(labels=table, key={key!r}), and {known}"),
    )


def stride(view: View, step: int) -> RemedyLines:
    """Shards concatenated instead of interleaved."""
    if len(view.trace.calls) > 1 and not view.is_loop:
        return lines(
            "np.concatenate(parts)  # parts[r] holds samples r, r + W, …",
            f"whole = np.empty_like(np.concatenate(parts)); whole[r::{step}] = parts[r]  # for each r",
        )
    order = f"np.concatenate([np.arange(r, {view.n}, {step}) for r in range({step})])"
    return lines(f"y_true  # the rows are in the order {order}", f"y_true[order]  # order = {order}")


def interleaved(view: View, files: int) -> RemedyLines:
    """Files read in turn."""
    if view.is_tf:
        return lines(
            f"files.interleave(read, cycle_length={files})",
            "files.flat_map(read)  # or labels in the order of the stream",
        )
    return lines(
        f"for rows in zip(*files): ...  # {files} files in turn",
        "for file in files: ...  # one after the other, or labels in the order of the stream",
    )


def not_at_start(view: View) -> RemedyLines:
    """The rows begin in the middle of the data."""
    if view.used_before or view.kind == "unknown":
        return lines(
            f"{view.call('gen')}  # gen = {view.name}(...), used before",
            f"{view.call(f'{view.name}(...)')}  # a new one for each call",
        )
    if view.is_pipeline:
        return lines(
            f"{view.name}.skip(...)  # or its reader had been used before",
            f"{view.name}  # all of it, with a new reader at each pass",
        )
    return lines(
        f"{view.call(f'{factory(view)}(reader)')}  # reader had been used before",
        f"{view.call(f'{factory(view)}(new_reader())')}  # a new one for each call",
    )


# -- Rows paired with the wrong labels --------------------------------------------------------------------------------


def given_labels(view: View) -> str:
    """The labels as code: the file name if they came from a file, else ``y_true``."""
    name = view.labels.name
    return repr(name) if "." in name else "y_true"


def label_file(view: View) -> RemedyLines:
    """Labels in another order than the stream."""
    given = given_labels(view)
    if given == "y_true":
        return lines(
            "labels=y_true  # joined by position", "labels=table, key='id'  # joined by key, or sort as the stream is"
        )
    return lines(
        f"labels={given}  # joined by position", f"labels={given}, key='id'  # joined by key, or sort as the stream is"
    )


def unpaired(view: View) -> RemedyLines:
    """Targets that belong to other rows."""
    if view.is_tf:
        return lines(
            "x = ds.map(inputs); y = ds.map(targets); tf.data.Dataset.zip((x, y))  # each shuffles separately",
            "ds.map(lambda row: (inputs(row), targets(row)))  # one element holds both",
        )
    if view.kind == "arrays":
        return lines("x = x[order]  # y is not reordered", "x, y = x[order], y[order]  # both in the same order")
    return lines(
        f"x[order[rows]], y[rows]  # in {view.name}", "x[order[rows]], y[order[rows]]  # both in the same order"
    )


def buffer(view: View) -> RemedyLines:
    """A buffer that the source reuses."""
    gives = "return" if view.kind == "pydataset" else "yield"
    return lines(
        f"{gives} buffer, targets  # overwritten for the next batch while this one still waits in a queue",
        f"{gives} buffer.copy(), targets",
    )
