"""Mutants that do what the module does, or what is as good: no test can fail on them, or none should."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Equal:
    """Mutants of one line.

    Attributes:
        module: ``core/checks.py``, below ``evalguard/``.
        line: The line, without the spaces around it.
        changes: As the list of survivors shows them; none for every change of this line.
        why: Why the change makes no difference.
    """

    module: str
    line: str
    changes: tuple[str, ...]
    why: str

    def fits(self, file: str, line: str, change: str) -> bool:
        """Whether a change of a line is one of these."""
        here = file == f"evalguard/{self.module}" and line.strip() == self.line
        return here and (not self.changes or change in self.changes)


LIMIT = "a limit that was chosen: the next number would do as well"
PRIVATE = "a field that nobody gives"
NO_KIND = "no array has a type of that kind"
MEMORY = "the same values, with a little more or less memory"

EQUAL: tuple[Equal, ...] = (
    Equal("core/report_fields.py", "MAX_WRONG_ROWS = 20", (), LIMIT),
    Equal(
        "core/report_fields.py",
        "whole = not evidence.order and len(evidence.samples) == n_labels and bool((evidence.samples >= 0).all())",
        ("`==` becomes `!=`", "`>=` becomes `>`", "`0` becomes `1`"),
        "the same plot, only that it takes longer",
    ),
    Equal("core/arrivals.py", "self._highest = -1", (), "any number below all samples, which begin with 0"),
    Equal(
        "core/arrivals.py",
        "self._highest = max(self._highest, int(part.max(initial=-1)))",
        ("`1` becomes `2`",),
        "any number below all samples, which begin with 0",
    ),
    Equal("core/checks.py", "MAX_CASES = 20", (), LIMIT),
    Equal("core/checks.py", "if extra > 0:", ("`>` becomes `>=`",), "that it is 0 was excluded above"),
    Equal("core/columns/chunks.py", "ROWS = 1 << 16", ("`1` becomes `2`", "`16` becomes `17`"), LIMIT),
    Equal("core/columns/chunks.py", "if len(found) >= limit:", ("`>=` becomes `>`",), "what is too much is cut off"),
    Equal("core/columns/chunks.py", "break", (), "what is too much is cut off"),
    Equal("core/columns/run_length.py", "_MAX_OPEN_RUNS, _MANY_RUNS = 1 << 12, 8", (), LIMIT),
    Equal(
        "core/columns/run_length.py",
        "if len(self._firsts) > _MAX_OPEN_RUNS:",
        ("`>` becomes `>=`", "`len(self._firsts) > _MAX_OPEN_RUNS` is negated"),
        "the same values, only that runs are closed earlier, which takes time",
    ),
    Equal("core/columns/run_length.py", "self._close(keep=1)", ("`1` becomes `2`",), MEMORY),
    Equal("core/columns/run_length.py", "cut = len(self._firsts) - keep", (), MEMORY),
    Equal(
        "core/columns/run_length.py",
        "return rows if dtype is None else rows.astype(dtype, copy=False)",
        ("`False` becomes `True`",),
        "one more copy of an array that is new in any case",
    ),
    Equal("core/columns/storage.py", "MAX_IN_MEMORY = 256_000_000", (), LIMIT),
    Equal("core/columns/storage.py", "if rows > len(self._array):", ("`>` becomes `>=`",), MEMORY),
    Equal(
        "core/columns/storage.py",
        "twice, most = 2 * len(array), MAX_IN_MEMORY // array.itemsize",
        ("`2` becomes `3`",),
        MEMORY,
    ),
    Equal(
        "core/columns/storage.py",
        "os.posix_fallocate(file.fileno(), 0, rows * dtype.itemsize)",
        ("`0` becomes `1`",),
        "the file is one byte longer than what is mapped",
    ),
    Equal("core/advice.py", "MAX_KEY = 80", (), LIMIT),
    Equal(
        "core/advice.py",
        "whole = len(samples) > n_labels and counts_up(head)",
        ("`>` becomes `>=`",),
        "without a row after the last label there is no padding",
    ),
    Equal(
        "core/advice.py",
        "short = trace.one_to_one and 0 < len(samples) < n_labels and bool(samples[0] >= 0)",
        ("`<` becomes `<=`",),
        "where there is no row there are no samples",
    ),
    Equal("core/diagnosis/__init__.py", "MAX_CAUSES = 3", (), LIMIT),
    Equal("core/evidence.py", "if extra <= 0:", ("`<=` becomes `<`",), "no row more is 0 rows of padding below, too"),
    Equal("core/findings.py", "raise NotImplementedError", (), "every class of such objects has its own"),
    Equal(
        "core/judge.py",
        "if observed and proof >= policy.required_proof and proof > Proof.NONE:",
        ("`>` becomes `>=`",),
        "no policy requires less than the right number of rows",
    ),
    Equal("core/judge.py", "padding: int = 0", (), "`judge` always gives it"),
    Equal(
        "core/judge.py",
        "if evidence.used is None or isinstance(evidence.samples, range):",
        ("`or` becomes `and`",),
        "then no match has samples that could contradict, which only takes longer to see",
    ),
    Equal(
        "core/judge.py",
        'if evidence.used.identity == "content" and labels.fingerprints is not None and trace.fingerprints is not None:',  # noqa: E501 - as it is written there
        ("`and` becomes `or`",),
        "content that can be compared is what is used",
    ),
    Equal("core/label_digest.py", "DIGEST_ROWS = 1 << 18", ("`1` becomes `2`", "`18` becomes `19`"), LIMIT),
    Equal("core/label_digest.py", "PIECE_BYTES = 1 << 25", ("`1` becomes `2`", "`25` becomes `26`"), LIMIT),
    Equal("core/label_table.py", "_digests: dict[str, str] = field(default_factory=dict, init=False)", (), PRIVATE),
    Equal("core/label_table.py", "_equal: list[int] = field(default_factory=list, init=False)", (), PRIVATE),
    Equal(
        "core/label_table.py",
        'if keys.dtype.kind == "i" and (rising(keys) or n_distinct(keys) == len(keys)):',
        ("`==` becomes `!=`", "`\"i\"` becomes `'i?'`", "`or` becomes `and`"),
        "what follows decides the same, with more memory",
    ),
    Equal(
        "core/label_table.py",
        "return array.astype(np.int64, copy=False)",
        ("`False` becomes `True`",),
        "one more copy of an array that nobody changes",
    ),
    Equal(
        "core/label_table.py",
        'if array.dtype.kind == "U":',
        ("`\"U\"` becomes `'U?'`",),
        "what follows gives the same text, more slowly",
    ),
    Equal(
        "core/order_metrics.py",
        "high = 1",
        (),
        "each value occurs once, so that the search begins with 2 in any case",
    ),
    Equal(
        "core/order_metrics.py", "low = high // 2", ("`2` becomes `3`",), "the search begins lower, and takes longer"
    ),
    Equal(
        "core/order_metrics.py",
        "across = np.zeros(max(0, len(samples) - 1), dtype=bool)",
        ("`0` becomes `1`",),
        "of less than two rows there is no step",
    ),
    Equal("core/order_rfc.py", "MAX_BINS = 41", (), LIMIT),
    Equal("core/own_errors.py", "error.__dict__[_FOREIGN] = True", (), "that it is there is what counts"),
    Equal("core/plot_data.py", "MAX_SEGMENTS = 2000", (), LIMIT),
    Equal("core/plot_data.py", "RASTER_SIDE = 160", (), LIMIT),
    Equal("core/plot_data.py", "_CHUNK = 1 << 22", ("`1` becomes `2`", "`22` becomes `23`"), LIMIT),
    Equal(
        "core/plot_data.py",
        "for begin in range(0, len(samples) - 1, _CHUNK):",
        ("`-` becomes `+`",),
        "a part with no two rows",
    ),
    Equal(
        "core/policy.py",
        "near = difflib.get_close_matches(str(word), [*allowed, *renamed], n=1, cutoff=0.5)",
        ("`1` becomes `2`",),
        "only the first is named",
    ),
    Equal(
        "core/order_rfc.py",
        "first_above = np.zeros(int(arrived.max(initial=-1)) + 1, dtype=arrived.dtype)",
        ("`1` becomes `2` (2)",),
        "one entry more than is read",
    ),
    Equal("core/order_rfc.py", "highest = 0", (), "the sample above 0 is at row 0, unless that is sample 0 itself"),
    Equal(
        "core/order_rfc.py",
        "record = tops[1:] > tops[:-1]",
        ("`>` becomes `>=`",),
        "a row that is no record is repeated 0 times",
    ),
    Equal("core/order_rfc.py", "for rows in chunks(len(arrived) - 3):", ("`-` becomes `+`",), "chunks without a row"),
    Equal("core/order_rfc.py", "for rows in chunks(len(arrived) - 1):", ("`-` becomes `+`",), "chunks without a row"),
    Equal(
        "core/order_rfc.py",
        "count += int(np.count_nonzero(part[3:] < lowest))",
        ("`<` becomes `<=`",),
        "no sample arrives twice",
    ),
    Equal(
        "core/order_rfc.py",
        "back = np.concatenate([last, np.flatnonzero(part[1:] < part[:-1]) + rows.start])",
        ("`<` becomes `<=`",),
        "no sample arrives twice",
    ),
    Equal(
        "core/order_rfc.py",
        "arrived_at = np.full(n_labels, -1, dtype=arrived.dtype)",
        ("`1` becomes `2`",),
        "any number below 0",
    ),
    Equal("core/order_rfc.py", "k, latest = 0, -1", ("`1` becomes `2`",), "any number below 0"),
    Equal(
        "core/order_rfc.py",
        "latest = max(latest, int(out.max(initial=-1)))",
        ("`1` becomes `2`",),
        "any number below 0",
    ),
    Equal(
        "core/order_rfc.py",
        "low = (int(values.min()) + width // 2) // width",
        ("`+` becomes `-`", "`2` becomes `3`"),
        "more empty bins, which are left out",
    ),
    Equal(
        "core/order_rfc.py",
        "counts = np.zeros((int(values.max()) + width // 2) // width - low + 1, dtype=np.int64)",
        ("`//` becomes `*`", "`1` becomes `2`"),
        "more empty bins, which are left out",
    ),
    Equal(
        "core/target_comparison.py",
        "return part if self.dtype is None else part.astype(self.dtype, copy=False)",
        ("`False` becomes `True`",),
        "one more copy of an array that nobody changes",
    ),
    Equal("core/target_comparison.py", 'if array.dtype.kind in "SO":', ("`\"SO\"` becomes `'SO?'`",), NO_KIND),
    Equal(
        "core/target_comparison.py",
        'if array.ndim != 2 or other.ndim != 1 or array.dtype.kind not in "fiub":',
        ("`\"fiub\"` becomes `'fiub?'`",),
        NO_KIND,
    ),
    Equal(
        "core/target_comparison.py",
        'return "number" if array.dtype.kind in "fiub" else array.dtype.kind',
        ("`\"fiub\"` becomes `'fiub?'`",),
        NO_KIND,
    ),
    Equal(
        "core/target_comparison.py",
        "if both is None or both[0].shape or len(both[0]) != len(both[1]):",
        ("`0` becomes `1`", "`0` becomes `1` (2)"),
        "both have one shape of row, and arrays of other lengths are not equal below, either",
    ),
    Equal("core/trace.py", "ALTERED = -2", (), "any number below 0 that is not the one for unknown rows"),
    Equal(
        "core/trace.py",
        "return rows if dtype is None else rows.astype(dtype, copy=False)",
        ("`False` becomes `True`",),
        "one more copy of an array that is new in any case",
    ),
    Equal(
        "core/trace.py",
        "if len(self.calls) == 1 and isinstance(self.tags, BatchTags):",
        ("`==` becomes `!=`", "`1` becomes `2`"),
        "the rows are then compared one by one, with the same result",
    ),
    Equal(
        "core/trace.py",
        "return tags.pulls.is_range(len(tags.pulls))",
        ("`return` returns None",),
        "the rows are then compared one by one, with the same result",
    ),
    Equal(
        "core/trace.py",
        "return isinstance(tags, RunLengthColumn) and tags.is_range(len(tags))",
        ("`return` returns None",),
        "the rows are then compared one by one, with the same result",
    ),
    Equal("core/report.py", "MAX_HEADLINE = 400", (), LIMIT),
    Equal(
        "core/report.py",
        'return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\\n"',
        ("`False` becomes `True` (2)",),
        "no NaN is left in the data",
    ),
    Equal(
        "core/trace_join.py",
        "if len({array.dtype.kind for array in arrays}) > 1:",
        ("`1` becomes `2`",),
        "numbers and text become text in `np.concatenate`, too",
    ),
    Equal(
        "capture/recording/to_trace.py",
        "if len({part.dtype.kind for part in parts}) > 1:",
        ("`1` becomes `2`",),
        "numbers and text become text in `np.concatenate`, too",
    ),
    Equal(
        "core/visible.py",
        "raw = str(text)[: limit + 1]",
        ("`1` becomes `2`",),
        "one more character of those that are cut off",
    ),
    Equal(
        "core/visible.py",
        r'return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"',
        ("`<` becomes `<=`",),
        "the character with that code is visible",
    ),
    Equal("capture/recording/small_batches.py", "SMALL_BATCH, MAX_BYTES = 1 << 16, 1 << 18", (), LIMIT),
    Equal("capture/recording/recorder.py", "MAX_WAITING, MAX_WAITING_BYTES = 256, 1 << 22", (), LIMIT),
    Equal(
        "capture/recording/tag_log.py",
        "number, row = batch_and_row(first) if first >= 0 else (first, 0)",
        ("`>=` becomes `>`", "`0` becomes `1`"),
        "the tag 0 is batch 0 and row 0, as `batch_and_row` says",
    ),
    Equal(
        "core/columns/run_length.py",
        "if len(bounds) <= _MANY_RUNS:",
        ("`<=` becomes `<`",),
        "the same values, as open runs or as closed ones",
    ),
    Equal(
        "core/columns/run_length.py",
        "return self._step == 1 and not len(self._closed[0]) and self._lengths == [length] and self._firsts == [0]",
        ("`0` becomes `1`",),
        "there are as many lengths as first values",
    ),
    Equal(
        "core/columns/run_length.py",
        "return 16 * len(self._closed[0]) + 72 * len(self._firsts)",
        ("`0` becomes `1`", "`72` becomes `73`"),
        "there are as many lengths as first values, and the size is approximate",
    ),
    Equal(
        "core/columns/run_length.py",
        "if self._step and len(rows) > len(firsts):",
        ("`>` becomes `>=`",),
        "where every run is one row, 0 is added to each",
    ),
    Equal(
        "core/checks.py",
        "next_batch = (tags & ROW_MASK == 0) & (steps > 0) & (steps <= row_tag(1))",
        ("`0` becomes `1` (2)",),
        "a step of 1 is in order in any case",
    ),
    Equal(
        "core/diagnosis/labelling.py",
        'evidence += f"; label i + {shift:,} matches row i" if shift > 0 else f"; label i - {-shift:,} matches row i"',
        ("`>` becomes `>=`",),
        "a shift is never 0",
    ),
    Equal(
        "core/diagnosis/labelling.py",
        "if view.samples is None or view.aligned or not view.moved:",
        ("`or` becomes `and`", "`or` becomes `and` (2)"),
        "nothing has moved where samples are not known, or are in their position",
    ),
    Equal(
        "core/diagnosis/orders.py",
        "for rows in chunks(view.n_rows - 1):",
        ("`-` becomes `+`", "`1` becomes `2`"),
        "a chunk without a row; and no row alone is in another position",
    ),
    Equal(
        "core/diagnosis/orders.py",
        "early, late = view.reach, int(view.displaced.max(initial=0))",
        ("`0` becomes `1`",),
        "where rows have moved, one is late",
    ),
    Equal("core/diagnosis/counts.py", "MAX_REPLICAS = 1024", (), LIMIT),
    Equal(
        "core/diagnosis/counts.py",
        "return extra if extra > 0 and view.wraps_after(view.n) else 0",
        ("`>` becomes `>=`",),
        "no row more is 0 rows in any case",
    ),
    Equal(
        "core/diagnosis/counts.py",
        "counted = bool(steps and view.batch) and steps * view.batch >= view.n_rows > (steps - 1) * view.batch",
        ("`and` becomes `or`",),
        "without steps, or without batches, their product is 0 and less than the rows",
    ),
    Equal(
        "core/diagnosis/counts.py",
        "replicas = fits[0] if fits else 0",
        ("`0` becomes `1` (2)",),
        "any number below 2",
    ),
    Equal(
        "core/diagnosis/counts.py",
        "if view.samples is None or not view.duplicates or view.foreign or view.unnamed:",
        ("`or` becomes `and`",),
        "without samples none is repeated",
    ),
    Equal(
        "core/diagnosis/counts.py",
        "if factor < 2 or factor > MAX_REPLICAS or view.duplicates <= max(view.batch, view.n_rows // 4):",
        ("`or` becomes `and`", "`>` becomes `>=`"),
        "samples that come once have no duplicates; and the largest number is a limit that was chosen",
    ),
    Equal(
        "core/diagnosis/counts.py",
        "if short <= 0 or (view.samples is not None and (view.duplicates or view.foreign or view.unnamed)):",
        ("`<=` becomes `<`",),
        "no row less is 0 rows in any case",
    ),
    Equal(
        "core/diagnosis/counts.py",
        "if view.samples is None or not view.missing.size or view.duplicates or view.unnamed or view.moved:",
        ("`or` becomes `and`",),
        "without samples none has arrived, and none is missing before the last one",
    ),
    Equal(
        "core/diagnosis/counts.py",
        "inside = view.missing[view.missing < last]",
        ("`<` becomes `<=`",),
        "what arrived is not missing",
    ),
    Equal(
        "core/diagnosis/starts.py",
        "def offset(rows: Int64, n: int, full: int = 0) -> int | None:",
        ("`0` becomes `1`",),
        "no offset is below 1",
    ),
    Equal(
        "core/diagnosis/starts.py",
        "if length > first and counts_up(rows, first, length):",
        ("`>` becomes `>=`",),
        "a stream of that length has no such sample",
    ),
    Equal(
        "core/diagnosis/starts.py",
        "full = view.n - view.n % view.batch if view.batch else 0",
        ("`0` becomes `1`",),
        "no offset is below 1",
    ),
    Equal(
        "core/diagnosis/starts.py",
        "jump = _Jump(number, expected % view.n, -1 if outside else int(part[0]))",
        ("`1` becomes `2`",),
        "any number below 0",
    ),
    Equal(
        "core/diagnosis/starts.py",
        'begins = f"with sample {jump.found:,}" if jump.found >= 0 else "beyond the last label"',
        ("`>=` becomes `>`", "`0` becomes `1`"),
        "no jump is to sample 0",
    ),
    Equal(
        "core/diagnosis/starts.py",
        "elif jump.found < 0 or called(view) is not None:",
        ("`<` becomes `<=`", "`0` becomes `1`"),
        "no jump is to sample 0",
    ),
    Equal("core/diagnosis/starts.py", "return 0, 0", ("`0` becomes `1` (2)",), "without batches taken it is not read"),
    Equal(
        "core/diagnosis/starts.py",
        "lead = _lead(view) if used and start is None else 0",
        ("`and` becomes `or`",),
        "a first row with a known sample has no row before it, and a source that was not used is left above all",
    ),
    Equal(
        "core/diagnosis/sorted_orders.py",
        "if not order_of_names(keys[view.arrived[:100]]):",
        ("`100` becomes `101`",),
        "how many are compared first is a choice",
    ),
    Equal("core/diagnosis/sorted_orders.py", "MAX_TEXTS = 10_000_000", ("`10_000_000` becomes `10000001`",), LIMIT),
    Equal(
        "core/diagnosis/sorted_orders.py",
        "text = np.asarray(keys).astype(np.str_, copy=False)",
        ("`False` becomes `True`",),
        "one more copy of an array that nobody changes",
    ),
    Equal(
        "core/diagnosis/sorted_orders.py",
        "for rows in chunks(len(order) - 1):",
        ("`-` becomes `+`",),
        "a chunk without a row",
    ),
    Equal(
        "core/diagnosis/sorted_orders.py",
        "part = values[order[rows.start : rows.stop + 1]]",
        ("`1` becomes `2`",),
        "one row more, which the next chunk compares as well",
    ),
    Equal(
        "core/diagnosis/sorted_orders.py",
        "return bool((names[1:] > names[:-1]).all())",
        ("`>` becomes `>=`",),
        "no key is there twice",
    ),
    Equal(
        "core/diagnosis/sorted_orders.py",
        'if values.dtype.kind not in "iubUS":',
        ("`\"iubUS\"` becomes `'iubUS?'`",),
        NO_KIND,
    ),
    Equal("capture/recording/recorder.py", "_may_buffer: bool = True", (), PRIVATE),
    Equal(
        "capture/recording/recorder.py",
        "self._may_wait = max(1, min(2 * len(waiting), MAX_WAITING, MAX_WAITING_BYTES // max(1, n_bytes)))",
        ("`1` becomes `2` (2)",),
        "of batches of one byte as many wait as of empty ones",
    ),
    Equal(
        "capture/recording/recorder.py",
        "elif self._buffer.n_bytes > MAX_BYTES:",
        ("`>` becomes `>=`",),
        LIMIT,
    ),
)
