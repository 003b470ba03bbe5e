"""The sources of a program as text: ``source_<number>`` makes the source of one call."""

from __future__ import annotations

from collections.abc import Callable

from tests.soundness.programs import Call, Parts, Program, targets_of

# TensorFlow takes over memory that lies at a multiple of 64 bytes, so what is written there later reaches the model.
ALIGNED = """def aligned(rows, dtype):
    n = rows * 2 * np.dtype(dtype).itemsize; raw = np.zeros(n + 64, "uint8"); at = -raw.ctypes.data % 64
    return raw[at:at + n].view(dtype).reshape(rows, 2)"""


def source_text(program: Program, call: Call, number: int) -> list[str]:
    """``source_<number>``, which makes the source of a call."""
    if call.source == "images":
        return _images_text(program, call, number)
    if call.again:
        return [f"source_{number} = source_{number - 1}"]
    rows, of = call.parts, targets_of(program, call)
    lines = [f"parts_{number} = {_nested(rows)}"]
    if call.y in {"same", "label_order", "encoded", "late"}:
        lines += [f"of_{number} = {_nested(of)}"] if of != rows else []
    scaled = f" * {call.scale}" if call.scale != 1 else ""
    cast = f'.astype("{call.dtype}")' if call.dtype != program.dtype or scaled else ""
    if call.reused:
        lines += [
            *ALIGNED.split("\n"),
            f"slots_{number} = [aligned({program.batch}, {call.dtype!r}) for _ in range({call.reused})]; "
            f'beside_{number} = [aligned({program.batch}, "int64").reshape(-1) for _ in range({2 * call.reused})]',
            f"def put_{number}(at, values): slot = beside_{number}[at % {2 * call.reused}][:len(values)]"
            ".view(values.dtype); slot[:] = values; return slot",
        ]
    lines.append(f"def batch_{number}(at):" if not call.moving else f"def batch_{number}(at, rows=None):")
    rows_text = f"parts_{number}[at]"
    if call.moving:
        lines.append(f"    rows = {rows_text} if rows is None else rows")
        rows_text = "rows"
    if call.source in {"generator", "endless", "pydataset", "pydataset_threads", "tf_generator"}:
        lines.append(f"    LOG.append(({number}, at))")
    if call.slow:
        lines.append(f"    time.sleep({call.slow / 1000})")
    if call.reused:
        slot = f"slots_{number}[at % {call.reused}][:len({rows_text})]"
        lines.append(f"    x = {slot}; x[:] = inputs({rows_text}){scaled}")
    else:
        lines.append(f"    x = (inputs({rows_text}){scaled}){cast}" if cast else f"    x = inputs({rows_text})")
    key = f"put_{number}(2 * at, key({rows_text}))" if call.reused else f"key({rows_text})"
    x = f'{{"x": x, "id": {key}}}' if program.keyed else "x"
    beside = f"target({'of' if of != rows else 'parts'}_{number}[at])"
    y = {
        "none": "",
        "same": f" {beside}",
        "label_order": f" {beside}",
        "late": f" {beside}",
        "encoded": f" {beside} * -2 - 7",
        "placeholder": " np.zeros(len(x))",
    }[call.y]
    y = f" put_{number}(2 * at + 1,{y})" if y and call.reused else y
    weights = {"none": "", "right": f", weight({rows_text})", "moved": f", weight(np.add({rows_text}, 1))"}[
        call.weights
    ]
    lines.append(f"    return ({x},{y}{weights})")
    return lines + _KINDS[call.source](program, call, number)


def _nested(parts: Parts) -> str:
    return str([list(rows) for rows in parts])


def _images_text(program: Program, call: Call, number: int) -> list[str]:
    half = program.n // 2
    return [
        f"folder_{number} = tempfile.TemporaryDirectory()",
        f"for i in range({program.n}):",
        f'    path = __import__("pathlib").Path(folder_{number}.name, f"class{{int(i >= {half})}}", f"{{i:03}}.png")',
        "    path.parent.mkdir(exist_ok=True)",
        '    Image.fromarray(np.full((4, 4, 3), 10 + i, "uint8")).save(path)',
        f"def source_{number}():",
        "    made = keras.preprocessing.image.ImageDataGenerator()"
        if program.engine == "tf_keras"
        else "    made = __import__('tensorflow').keras.preprocessing.image.ImageDataGenerator()",
        f"    return made.flow_from_directory(folder_{number}.name, (4, 4), batch_size={program.batch},",
        f'        class_mode="sparse", shuffle={call.lie == "shuffled"}, seed=5)',
    ]


def _generator(program: Program, call: Call, number: int) -> list[str]:
    if program.identity != "index":
        return [f"def source_{number}(): return (batch_{number}(at) for at in range(len(parts_{number})))"]
    if not call.moving:
        return [
            f"def source_{number}():",
            f"    for at, rows in enumerate(parts_{number}):",
            f"        yield evalguard.tagged(batch_{number}(at), index=rows)",
        ]
    return [
        f"def source_{number}():",
        f"    index = np.zeros({program.batch}, int)",
        f"    for at, rows in enumerate(parts_{number}):",
        "        index[:len(rows)] = rows",
        f"        yield evalguard.tagged(batch_{number}(at), index=index[:len(rows)])",
    ]


def _endless(program: Program, call: Call, number: int) -> list[str]:
    return [
        f"def source_{number}():",
        "    for again in range(9):",
        f"        yield from map(batch_{number}, range(len(parts_{number})))",
    ]


def _pydataset(program: Program, call: Call, number: int) -> list[str]:
    base = "PyDataset" if program.engine == "keras" else "Sequence"
    workers = "workers=3" if call.source == "pydataset_threads" and program.engine == "keras" else ""
    lines = [f"class source_{number}(keras.utils.{base}):"]
    if workers or program.identity == "index":
        index = f"; self.index = np.concatenate(parts_{number})" if program.identity == "index" else ""
        lines.append(f"    def __init__(self): super().__init__({workers}){index}")
    lines.append(f"    def __len__(self): return len(parts_{number})")
    if program.identity != "index":
        return [*lines, f"    def __getitem__(self, at): return batch_{number}(at)"]
    rows = ", self.index[self.place(at)]" if call.moving else ""
    lines += [
        f"    def place(self, at): return slice(at * {program.batch}, at * {program.batch} + len(parts_{number}[at]))",
        f"    def __getitem__(self, at): return batch_{number}(at{rows})",
        "    def sample_indices(self, at): return self.index[self.place(at)]",
    ]
    if call.moving:
        lines.append("    def on_epoch_end(self): self.index[:] = self.index[::-1].copy()")
    return lines


def _arrays(program: Program, call: Call, number: int) -> list[str]:
    lines = [
        f"def source_{number}():",
        f"    batches = [batch_{number}(at) for at in range(len(parts_{number}))]",
    ]
    if program.keyed:
        x = "{name: np.concatenate([batch[0][name] for batch in batches]) for name in batches[0][0]}"
    else:
        x = "np.concatenate([batch[0] for batch in batches])"
    if call.source == "frame":
        index = f", index=key(np.concatenate(parts_{number}))" if program.identity == "pandas" else ""
        x = f"pd.DataFrame({x}{index})"
    if call.y == "none":
        return [*lines, f"    return ({x},)"]
    return [*lines, f"    return ({x}, np.concatenate([batch[1] for batch in batches]))"]


TF_ENDS = {
    "tf_tensors": ".batch({batch})",
    "tf_mapped": ".map(lambda *parts: parts, num_parallel_calls=2).batch({batch}).prefetch(2)",
    "tf_cached": ".cache().batch({batch})",
    "tf_shuffled": ".shuffle(32, seed=3).batch({batch})",
    "tf_dropping": ".batch({batch}, drop_remainder=True)",
    "tf_repeated": ".repeat().batch({batch}).take({steps})",
}


def _tf_tensors(program: Program, call: Call, number: int) -> list[str]:
    steps = len(call.parts)
    end = TF_ENDS[call.source].format(batch=program.batch, steps=steps)
    lines = _arrays(program, call, number)
    lines[0] = f"def arrays_{number}():"
    return [*lines, f"def source_{number}(): return tf.data.Dataset.from_tensor_slices(arrays_{number}()){end}"]


def _tf_generator(program: Program, call: Call, number: int) -> list[str]:
    return [
        f"def source_{number}():",
        f"    spec = tf.nest.map_structure(lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), batch_{number}(0))",
        f"    made = lambda: (batch_{number}(at) for at in range(len(parts_{number})))",
        "    return tf.data.Dataset.from_generator(made, output_signature=spec)",
    ]


def _nothing(program: Program, call: Call, number: int) -> list[str]:
    return [f"def source_{number}(): return None"]


_KINDS: dict[str, Callable[[Program, Call, int], list[str]]] = {
    "generator": _generator,
    "endless": _endless,
    "pydataset": _pydataset,
    "pydataset_threads": _pydataset,
    "array": _arrays,
    "frame": _arrays,
    "tf_generator": _tf_generator,
    **dict.fromkeys(TF_ENDS, _tf_tensors),
    "batches": _nothing,
}
ARRAYS = frozenset({"array", "frame"})
# Keras cuts the batches out of one array there: those of `parts` are all full but the last.
CUT = ARRAYS | set(TF_ENDS)
