"""The line to change where rows are missing or come twice."""

from __future__ import annotations

from evalguard.core.diagnosis.remedies import METRIC_METHODS, RemedyLines, lines
from evalguard.core.diagnosis.view import View


def full_batches(view: View, batch: int) -> RemedyLines:
    """What is left of a pass never comes, and the next one begins."""
    if view.is_pipeline:
        return lines(
            f"{view.name}.batch({batch}, drop_remainder=True).repeat()", f"{view.name}.batch({batch})  # one pass"
        )
    if view.one_shot or view.kind == "unknown":
        return lines(
            "while True: batch = []; ...  # what is left of a pass is cleared",
            "batch = []; while True: ...  # the next pass goes on filling the same batch",
        )
    return dropped(view, batch)


def dropped(view: View, batch: int) -> RemedyLines:
    """A last, partial batch that never comes."""
    if view.is_pipeline:
        return lines(f"{view.name}.batch({batch}, drop_remainder=True)", f"{view.name}.batch({batch})")
    if view.is_loader:
        return lines("DataLoader(..., drop_last=True)", "DataLoader(..., drop_last=False)")
    if view.kind == "arrays":
        return lines(
            f"x = x[: {view.n} // {batch} * {batch}]; {view.called}", f"{view.called}  # x as it was, all rows"
        )
    if view.is_loop:
        return lines(f"{view.called}  # loader drops its last, partial batch", f"{view.called}  # loader keeps it")
    if view.kind == "pydataset":
        return floor_len(view, batch)
    return lines(
        f"if len(batch) == {batch}: yield batch  # in {view.name}",
        f"if batch: yield batch  # in {view.name}: the last one may be short",
    )


def floor_len(view: View, batch: int) -> RemedyLines:
    """A PyDataset that says it is shorter than it is."""
    return lines(
        f"def __len__(self): return {view.n} // {batch}  # {view.name}",
        f"def __len__(self): return math.ceil({view.n} / {batch})",
    )


def wrapped(view: View) -> RemedyLines:
    """More rows than labels, since the stream begins again."""
    trim = "evalguard.guard(..., padding='trim')"
    if view.trace.method in METRIC_METHODS:
        return lines(view.called, f"{view.called}  # of a source that ends after {view.n} rows: each is scored")
    if view.is_pipeline:
        once = view.call(view.name, steps=None)
        return lines(view.call(f"{view.name}.repeat()"), f"{once}  # one pass; or {trim}")
    if view.is_loop:
        whole = f"np.concatenate([{view.call('batch')} for batch in loader])"
        return lines(whole, f"{whole}[:{view.n}]  # and {trim}")
    return lines(view.called, f"{view.called}[:{view.n}]  # and {trim}")


def padded(view: View) -> RemedyLines:
    """Rows that fill up the last batch."""
    if view.trace.method in METRIC_METHODS:
        return lines(view.called, f"{view.called}  # without the rows that fill up the last batch: each is scored")
    return lines("evalguard.guard(labels=...)", "evalguard.guard(labels=..., padding='trim')")


def gathered(view: View) -> RemedyLines:
    """Rows that give each replica as many batches."""
    if view.trace.method in METRIC_METHODS:
        return padded(view)
    form = "predictions = gather(parts)"
    return lines(form, f"{form}[:{view.n}]  # or evalguard.guard(..., padding='trim')")


def copied(view: View, factor: int) -> RemedyLines:
    """Several readers that each read it all."""
    # tf_keras' predict takes workers, Keras 3 gives them to a PyDataset.
    if view.one_shot and "workers" in view.facts:
        return lines(
            view.call(view.name, workers=factor, use_multiprocessing=True),
            f"{view.call(view.name, workers=1)}  # or a Sequence, which is asked by index",
        )
    if view.kind == "pydataset":
        return lines(
            f"{view.name}(..., workers={factor}, use_multiprocessing=True)  # __getitem__ reads on, in each process",
            f"{view.name}(..., workers=1)  # or a __getitem__ that looks up its index",
        )
    if view.is_loader:
        return lines(
            f"DataLoader(dataset, num_workers={factor})  # each worker iterates over the whole dataset",
            "DataLoader(dataset, num_workers=0)  # or each worker's own part: get_worker_info() in dataset.__iter__",
        )
    if view.is_pipeline:
        return lines(
            f"{view.name}  # the whole of it for each of {factor} readers",
            f"{view.name}.shard({factor}, reader)  # a part for each"
            if view.is_tf
            else f"{view.name}[reader::{factor}]  # a part for each",
        )
    return lines(
        f"parts = [read(paths) for reader in range({factor})]  # each reads it all",
        f"parts = [read(paths[reader::{factor}]) for reader in range({factor})]",
    )


def left_out(view: View) -> RemedyLines:
    """Samples that the source passes over."""
    if view.kind == "arrays":
        return lines("x = x[kept]", "x = x[kept]; y_true = y_true[kept]  # the labels of the others out as well")
    if view.is_pipeline:
        return lines(
            f"{view.name}.filter(...)  # or .ignore_errors()" if view.is_tf else f"{view.name}.filter(...)",
            f"{view.name}  # let it fail; or take the labels of these samples out as well",
        )
    return lines(
        "try: x = load(path)  # except Exception: continue",
        "x = load(path)  # let it fail; or take the labels of these samples out as well",
    )


def others(view: View) -> RemedyLines:
    """Rows that no label knows."""
    return lines(
        f"{view.called}  # whatever there is, files as they are on disk",
        f"{view.called}  # only the {view.n} samples that the labels name",
    )
