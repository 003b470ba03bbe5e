"""Keys of tables in DuckDB, which joins any number of them inside a memory limit."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.label_table import KeyColumn, Repeated, key_text, normal_keys
from evalguard.core.shown_keys import shown_key
from evalguard.core.stages import stage
from evalguard.core.trace import FOREIGN
from evalguard.data.tables import PIECE, TableFile, column_of
from evalguard.errors import LabelsError

# An integer as text in its usual form, without leading zeros or a plus sign.
INTEGER = "0|-?[1-9][0-9]*"
MAX_KEY = 80


@contextlib.contextmanager
def key_store() -> Iterator[Any]:
    """A DuckDB connection that uses half of the memory of the container, or of the machine, and downloads nothing."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="evalguard-") as folder, duckdb.connect() as store:
        # DuckDB reads the limits of memory and threads from the cgroup first.
        store.execute("set memory_limit = '50%'")
        store.execute("set temp_directory = '{}'".format(folder.replace("'", "''")))
        for setting in ("enable_progress_bar", "autoinstall_known_extensions", "autoload_known_extensions"):
            store.execute(f"set {setting} = false")
        yield store


class KeyedFile(TableFile):
    """A table file whose keys are read into a ``key_store``, as its table ``table``."""

    def __init__(self, store: Any, table: str, *file: Any) -> None:
        super().__init__(*file)
        self._store, self._table = store, table

    def keys(self, name: str) -> Any:
        """The column with the keys, as ``StoredKeys``."""
        return StoredKeys(self._store, self._table, self.pieces(name), self.where)


class StoredKeys(KeyColumn):
    """A column of keys in DuckDB that is read like an array, of int64 or of str as long as the longest key.

    Args:
        store: Connection of ``key_store``.
        table: Name of a new table there.
        keys: The keys, as Arrow arrays without a null.
        where: Name of the keys in messages.
    """

    def __init__(self, store: Any, table: str, keys: Iterable[Any], where: str) -> None:
        import pyarrow as pa

        self.table, self.where, self._store = table, where, store
        with stage(f"reading the keys of {where}") as reading:
            for number, piece in enumerate(keys):
                store.register("piece", pa.table({"key": _normal(piece, where)}))
                made = f"insert into {table}" if number else f"create table {table} as"
                store.execute(f"{made} select key from piece")
                reading.rows += len(piece)
        store.execute(f"create table if not exists {table} (key varchar)")
        what = "any_value(typeof(key)), count(*), max(key)::varchar, coalesce(max(length(key::varchar)), 1)"
        kind, n_rows, last, width = store.execute(f"select {what} from {table}").fetchall()[0]
        if kind == "UBIGINT":
            # As in `normal_keys`: all keys are text if one of them does not fit int64.
            kind = "VARCHAR" if int(last) > np.iinfo(np.int64).max else "BIGINT"
            store.execute(f"alter table {table} alter key type {kind}")
        self.dtype = np.dtype(np.int64 if kind == "BIGINT" else f"<U{width}")
        self.shape: tuple[int] = (n_rows,)

    def found(self, what: str, rest: str) -> NDArray[Any]:
        """The column ``what`` of a query, as an array."""
        result: NDArray[Any] = self._store.execute(f"select {what} as found from {rest}").fetchnumpy()["found"]
        return result

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self[:], dtype, copy=copy)

    def __getitem__(self, rows: Any) -> Any:
        """The key of a row, or those of a slice or of an array of rows."""
        import pyarrow as pa

        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return self.found("key", f"{self.table} where rowid >= {start} and rowid < {stop}").astype(self.dtype)
        wanted = np.atleast_1d(rows)
        self._store.register("wanted", pa.table({"place": np.arange(len(wanted)), "row": wanted}))
        keys = self.found("key", f"wanted join {self.table} t on wanted.row = t.rowid order by place")
        return keys.astype(self.dtype) if np.ndim(rows) else keys[0]

    def empty(self) -> NDArray[np.int64]:
        """Rows whose key is an empty text."""
        return self.found("rowid", f"{self.table} where key::varchar = ''")

    def repeated(self) -> Repeated | None:
        """How many keys occur more than once, the first of them and its rows; None if each occurs once."""
        # Most labels are sorted by key, and that is checked in a fraction of the time.
        pairs = f"(select key, lag(key) over () as before from {self.table})"
        if not len(self.found("1", f"{pairs} where key <= before limit 1")):
            return None
        twice = self.found("key", f"{self.table} group by key having count(*) > 1 order by key")
        if not len(twice):
            return None
        return len(twice), twice[0], np.flatnonzero(self[:] == twice[0])

    def in_order(self) -> tuple[bool, Iterator[tuple[NDArray[Any], NDArray[np.int64]]]]:
        """Whether all keys are integers in their usual form, and pieces of the keys in rising order, with their rows.

        Integers are in the order of numbers, text in that of its code points, as NumPy sorts both.
        """
        plain = f"regexp_full_match(key, '{INTEGER}') and try_cast(key as bigint) is not null"
        integers = self.dtype.kind == "i" or bool(self.found(f"bool_and({plain})", self.table)[0])
        key = "key::bigint" if integers else "key"
        return integers, self._sorted(key)

    def _sorted(self, key: str) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        rows = self._store.sql(f"select {key} as key, rowid as row from {self.table} order by 1")
        for batch in rows.to_arrow_reader(PIECE):
            yield tuple(column.to_numpy(zero_copy_only=False) for column in batch.columns)

    def equals(self, other: StoredKeys) -> bool:
        """Whether both have the same keys in the same order."""
        rows = f"{self.table} ours positional join {other.table} theirs where ours.key is distinct from theirs.key"
        return (self.dtype, self.shape) == (other.dtype, other.shape) and not len(self.found("1", f"{rows} limit 1"))

    def rows_in(self, other: StoredKeys) -> NDArray[np.int64]:
        """For each key its row in ``other``, int64; ``FOREIGN`` if it is not there. No key may repeat in ``other``.

        Raises:
            LabelsError: One side is integers and the other text that is not integers.
        """
        ours, theirs = "ours.key", "theirs.key"
        if self.dtype.kind != other.dtype.kind:
            _refuse_other_text(*sorted((self, other), key=lambda keys: keys.dtype.kind))
            ours, theirs = f"{ours}::varchar", f"{theirs}::varchar"
        joined = f"{self.table} ours join {other.table} theirs on {ours} = {theirs}"
        found = np.full(len(self), FOREIGN, dtype=np.int64)
        pairs = self._store.sql(f"select ours.rowid as row, theirs.rowid as place from {joined}")
        with stage("joining the keys", len(self)) as joining:
            for batch in pairs.to_arrow_reader(PIECE):
                found[batch.column(0).to_numpy()] = batch.column(1).to_numpy()
                joining.rows += len(batch)
        return found


def _refuse_other_text(texts: StoredKeys, numbers: StoredKeys) -> None:
    """Raise LabelsError unless every text is an integer in its usual form: 007 is not 7."""
    other = texts.found("key", f"{texts.table} where not regexp_full_match(key, '{INTEGER}') order by rowid limit 1")
    if len(other):
        msg = (
            f"keys: expected keys of one kind, found text in {texts.where}, such as '{shown_key(other[0])}', "
            f"and integers in {numbers.where}, such as {shown_key(numbers[0])}. Write them in both tables in the same "
            "way."
        )
        raise LabelsError(msg)


def _normal(column: Any, where: str) -> Any:
    """The keys as an Arrow array of text, int64 or uint64."""
    import pyarrow as pa

    if pa.types.is_uint64(column.type) or pa.types.is_int64(column.type):
        return column
    if str(column.type) in {"string", "large_string", "string_view"}:
        return column.cast(pa.large_string())
    keys = column_of(pa.table({"key": column}), "key", where)
    # Text is converted item by item: a NumPy array of text drops NULs at its end, and Arrow cuts one at its first NUL.
    # Keys of bytes may hold NULs.
    return pa.array([key_text(item) for item in keys] if keys.dtype == object else normal_keys(keys, where).tolist())
