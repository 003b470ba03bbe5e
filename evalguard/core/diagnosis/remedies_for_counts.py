"""The fix as two lines where rows are missing or repeated."""

from __future__ import annotations

from evalguard.core.diagnosis.remedies import METRIC_METHODS, RemedyLines, lines
from evalguard.core.diagnosis.view import View


def full_batches(view: View, batch: int) -> RemedyLines:
    """The last, partial batch of a pass is thrown away, and the next pass begins."""
    if view.is_pipeline:
        return lines(
            f"{view.name}.batch({batch}, drop_remainder=True).repeat()", f"{view.name}.batch({batch})  # one pass"
        )
    if view.one_shot or view.kind == "unknown":
        return lines(
            "while True: batch = []; ...  # each pass throws its last, partial batch away",
            "batch = []; while True: ...  # the next pass continues the same batch",
        )
    return dropped(view, batch)


def dropped(view: View, batch: int) -> RemedyLines:
    """The last, partial batch is dropped."""
    if view.is_pipeline:
        return lines(f"{view.name}.batch({batch}, drop_remainder=True)", f"{view.name}.batch({batch})")
    if view.is_loader:
        return lines("DataLoader(..., drop_last=True)", "DataLoader(..., drop_last=False)")
    if view.kind == "arrays":
        return lines(f"x = x[: {view.n} // {batch} * {batch}]; {view.called}", f"{view.called}  # all rows of x")
    if view.is_loop:
        return lines(f"{view.called}  # loader drops its last, partial batch", f"{view.called}  # loader keeps it")
    if view.kind == "pydataset":
        return floor_len(view, batch)
    return lines(
        f"if len(batch) == {batch}: yield batch  # in {view.name}",
        f"if batch: yield batch  # in {view.name}: the last one may be short",
    )


def floor_len(view: View, batch: int) -> RemedyLines:
    """`__len__` of a PyDataset is too small."""
    return lines(
        f"def __len__(self): return {view.n} // {batch}  # {view.name}",
        f"def __len__(self): return math.ceil({view.n} / {batch})",
    )


def wrapped(view: View) -> RemedyLines:
    """More rows than labels, as the stream starts again."""
    trim = "evalguard.guard(..., padding='trim')"
    if view.trace.method in METRIC_METHODS:
        return lines(view.called, f"{view.called}  # with a source that ends after {view.n} rows: every row is scored")
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
        return lines(view.called, f"{view.called}  # without the rows that fill up the last batch: every row is scored")
    return lines("evalguard.guard(labels=...)", "evalguard.guard(labels=..., padding='trim')")


def gathered(view: View) -> RemedyLines:
    """Rows that a sampler adds so that each replica gets the same number of batches."""
    if view.trace.method in METRIC_METHODS:
        return padded(view)
    form = "predictions = gather(parts)"
    return lines(form, f"{form}[:{view.n}]  # or evalguard.guard(..., padding='trim')")


def copied(view: View, factor: int) -> RemedyLines:
    """Several readers that each read the whole source."""
    # tf_keras' predict takes workers, Keras 3 gives them to a PyDataset.
    if view.one_shot and "workers" in view.facts:
        return lines(
            view.call(view.name, workers=factor, use_multiprocessing=True),
            f"{view.call(view.name, workers=1)}  # or a Sequence, which is read by index",
        )
    if view.kind == "pydataset":
        return lines(
            f"{view.name}(..., workers={factor}, use_multiprocessing=True)  # each process reads it all",
            f"{view.name}(..., workers=1)  # or a __getitem__ that uses its index",
        )
    if view.is_loader:
        return lines(
            f"DataLoader(dataset, num_workers={factor})  # each worker iterates over the whole dataset",
            "DataLoader(dataset, num_workers=0)  # or each worker's own part: get_worker_info() in dataset.__iter__",
        )
    if view.is_pipeline:
        return lines(
            f"{view.name}  # each of {factor} readers reads it all",
            f"{view.name}.shard({factor}, reader)  # each reads its part"
            if view.is_tf
            else f"{view.name}[reader::{factor}]  # each reads its part",
        )
    return lines(
        f"parts = [read(paths) for reader in range({factor})]  # each reads it all",
        f"parts = [read(paths[reader::{factor}]) for reader in range({factor})]",
    )


def left_out(view: View) -> RemedyLines:
    """Samples that the source leaves out."""
    if view.kind == "arrays":
        return lines("x = x[kept]", "x = x[kept]; y_true = y_true[kept]  # keep the same labels")
    if view.is_pipeline:
        return lines(
            f"{view.name}.filter(...)  # or .ignore_errors()" if view.is_tf else f"{view.name}.filter(...)",
            f"{view.name}  # let it fail, or remove the labels of these samples too",
        )
    return lines(
        "try: x = load(path)  # except Exception: continue",
        "x = load(path)  # let it fail, or remove the labels of these samples too",
    )


def others(view: View) -> RemedyLines:
    """Rows that are not among the labelled samples."""
    return lines(
        f"{view.called}  # all files on disk",
        f"{view.called}  # only the {view.n} samples that the labels name",
    )
