"""The digest of labels: of their keys and values, not of the rows' order, the dtype or the container.

Labels with keys are a set of pairs: they are digested in the order of their keys, which is unique. Labels without keys
are a sequence, digested in its order. Values are brought into one form first:

- Numbers that are whole, floats and flags among them, are integers: 1, 1.0 and True are one label. Others are float64,
  with one zero and one NaN.
- Text is UTF-8 with its lengths, without NULs at its end, which NumPy does not keep; bytes are read as UTF-8.
- Keys that are all integers in their usual form are integers: a CSV file has them as text.
- An axis of length one at the end is dropped.
- Anything else (dates, mixed objects) keeps its dtype.

SHA-256 runs over the sorted rows themselves. A sum or XOR of hashes of rows would be faster, but other rows with the
same sum can be found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import rising

DIGEST_ROWS = 1 << 18
PIECE_BYTES = 1 << 25
TEXT, OBJECTS = "text", "objects"
# Eight bytes where a row is one number, as in earlier versions, so that recorded digests stay; the smallest type that
# fits where a row is many: masks of an image as int64 would take eight times as long.
ONE, MANY = ("<i8",), ("|u1", "<i2", "<i4", "<i8")

RowOrder = NDArray[np.int64] | None


def digest_of(parts: Iterable[tuple[str, NDArray[Any]]], keys: Any = None) -> str:
    """First 16 hexadecimal digits of the SHA-256 of some arrays, in the order of the keys if there are any.

    Args:
        parts: Name and array of each, shape ``(n, ...)``. Those named ``fingerprints`` or ``keys`` are left out, unless
            there is nothing else.
        keys: A ``KeyColumn``, or int64 or str, shape ``(n,)``; each once.
    """
    given = list(parts)
    parts = [part for part in given if part[0] not in {"keys", "fingerprints"}]
    if not parts and keys is None:
        parts = [part for part in given if part[0] != "keys"] or given
    sha, order = hashlib.sha256(), None
    if keys is not None:
        order = _add_keys(sha, keys)
    for name, array in sorted(parts, key=lambda part: part[0]):
        plain = _plain(array)
        _add(sha, name, _form(plain), _shape(plain), pieces_of(plain, order))
    return sha.hexdigest()[:16]


def as_integers(keys: NDArray[Any]) -> NDArray[Any]:
    """The keys as int64 if all are integers in their usual form, which 007 is not; else as they are."""
    if keys.dtype.kind != "U":
        return keys
    try:
        for piece in pieces_of(keys, None):
            if (piece.astype(np.int64).astype(keys.dtype) != piece).any():
                return keys
        return keys.astype(np.int64)
    except (ValueError, OverflowError):
        return keys


def _add_keys(sha: Any, keys: Any) -> RowOrder:
    """Add the keys in rising order; return their rows in that order, None if they are in it."""
    if isinstance(keys, np.ndarray):
        keys = as_integers(keys)
        order = None if rising(keys) else np.argsort(keys, kind="stable")
        _add(sha, "keys", TEXT if keys.dtype.kind == "U" else "<i8", keys.shape, pieces_of(keys, order))
        return order
    rows: list[NDArray[np.int64]] = []

    def pieces() -> Iterator[NDArray[Any]]:
        for piece, its_rows in sorted_pieces:
            rows.append(its_rows)
            yield piece

    integers, sorted_pieces = keys.in_order()
    _add(sha, "keys", "<i8" if integers else TEXT, keys.shape, pieces())
    return np.concatenate(rows)


def _add(sha: Any, name: str, form: str, shape: Sequence[int], pieces: Iterable[NDArray[Any]]) -> None:
    sha.update(f"{name}|{form}|{(*map(int, shape),)}|".encode())
    if form == TEXT:
        _add_text(sha, pieces)
        return
    for piece in pieces:
        if form == OBJECTS:
            for item in piece.ravel().tolist():
                sha.update(repr(item.item() if isinstance(item, np.generic) else item).encode() + b"\0")
            continue
        rows = np.ascontiguousarray(piece, dtype=form if form in {*MANY, "<f8"} else None)
        if form == "<f8":
            # A sum with 0.0 is never -0.0.
            rows = np.where(np.isnan(rows), np.nan, rows + 0.0)
        sha.update(rows.reshape(-1))


def _add_text(sha: Any, pieces: Iterable[NDArray[Any]]) -> None:
    lengths, content = hashlib.sha256(), hashlib.sha256()
    for piece in pieces:
        items = piece.ravel().tolist()
        if not all(isinstance(item, str) for item in items):
            items = [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item for item in items]
        text = "".join(items)
        if "\0" in text:
            items = [item.rstrip("\0") for item in items]
            text = "".join(items)
        lengths.update(np.fromiter(map(len, items), "<i8", len(items)).tobytes())
        # `surrogatepass`, because file names on Linux may hold bytes that are not UTF-8.
        content.update(text.encode("utf-8", "surrogatepass"))
    sha.update(lengths.digest() + content.digest())


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array; one of objects that are numbers as int64 or float64, if that keeps their values."""
    if array.dtype.kind != "O" or not all(
        isinstance(item, (Real, Decimal, np.bool_)) for item in array.ravel().tolist()
    ):
        return array
    for dtype in (np.int64, np.float64):
        try:
            found = array.astype(dtype)
        except (ValueError, OverflowError):
            continue
        # Objects are compared as Python compares them: exactly.
        if ((found.astype(object) == array) | (array != array)).all():
            return found
    return array


def _form(array: NDArray[Any]) -> str:
    """The name of the form in which the values are digested, the same for equal values."""
    kind = array.dtype.kind
    if kind in "UST" or (kind == "O" and all(isinstance(item, (str, bytes)) for item in array.ravel().tolist())):
        return TEXT
    if kind == "O":
        return OBJECTS
    # Also bfloat16, which NumPy does not list among the floats.
    if not np.can_cast(array.dtype, np.float64):
        return array.dtype.str
    low = high = 0
    for piece in pieces_of(array, None):
        numbers = piece if kind in "biu" else piece.astype(np.float64)
        if kind not in "biu" and not (np.isfinite(numbers) & (np.rint(numbers) == numbers)).all():
            return "<f8"
        if numbers.size:
            low, high = min(low, int(numbers.min())), max(high, int(numbers.max()))
    for form in MANY if len(_shape(array)) > 1 else ONE:
        if np.iinfo(form).min <= low and high <= np.iinfo(form).max:
            return form
    return "<u8" if kind == "u" else "<f8"


def _shape(array: NDArray[Any]) -> tuple[int, ...]:
    shape = array.shape
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def pieces_of(array: NDArray[Any], order: RowOrder) -> Iterator[NDArray[Any]]:
    """Yield the rows, in some order, in pieces: a memory-mapped file is not loaded as a whole."""
    row_bytes = max(array.itemsize, 8) * (array.size // len(array))
    step = max(1, min(DIGEST_ROWS, PIECE_BYTES // max(1, row_bytes)))
    for start in range(0, len(array), step):
        rows = slice(start, start + step)
        yield array[rows if order is None else order[rows]]
