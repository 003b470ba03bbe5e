"""A program as Python that runs alone. The laws run this text, so what is printed of a failure is what failed."""

from __future__ import annotations

from tests.soundness import loops
from tests.soundness.programs import KEYS, LOOPS, Call, Program
from tests.soundness.scoring import confirm_text, helpers_text, pool_text
from tests.soundness.sources import ARRAYS, source_text

INPUTS = {
    "distinct": "10 + ids, ids * 7 % 5",
    "close": "2.0**30 + ids, ids * 7 % 5",
    "twins": "10 + ids // 2, ids // 2 * 7 % 5",
    "blank": "np.where(ids % 3, 10 + ids, 0), np.where(ids % 3, ids * 7 % 5, 0)",
}
TARGETS = {"classes": "np.asarray(ids) * 5 % 3", "numbers": "np.asarray(ids) * 1.5 + 100"}
# Labels that are names, or numbers that begin at 1; and the option `classes` beside them.
CLASSES = {
    "named": "np.array(['a', 'b', 'c'])[target(ids)]",
    "permuted": "np.array(['a', 'b', 'c'])[target(ids)]",
    "sorted": "np.array(['a', 'b', 'c'])[target(ids)]",
    "unsorted": "np.array(['m', 'a', 'z'])[target(ids)]",
    "from_one": "target(ids) + 1",
    **dict.fromkeys(("longer", "missing", "renamed"), "np.array(['a', 'b', 'c'])[target(ids)]"),
}
NAMES = {
    "named": "['a', 'b', 'c']",
    "permuted": "['b', 'c', 'a']",
    "from_one": "['a', 'b', 'c']",
    "longer": "['a', 'b', 'c', 'd']",
    "missing": "['a', 'b']",
    "renamed": "['a', 'b', 'C']",
}
# The index of the labels, where that of `x` is `key` of its samples.
INDEXES = {
    "same": "key(range({n}))",
    "offset": "key(range({n})) + 17",
    "times": "key(range({n})) + pd.Timedelta(days=3)",
    "next_time": "key(range({n})) + pd.Timedelta(days=17)",
    "default": "range({n})",
    "partly": "np.where(np.arange({n}) % 4 == 1, -key(range({n})), key(range({n})))",
    "text": "key(range({n})).astype(str)",
}
IMAGE_TARGETS = "(np.asarray(ids) >= {half}).astype(int)"

# Each with the inputs and the outputs of the model as it is built; `Moving` replaces `predict`.
MODELS = {
    "echo": "keras.Model(given, keras.layers.Identity()(x))",
    "two_outputs": "keras.Model(given, [keras.layers.Identity()(x), keras.layers.Rescaling(2.0)(x)])",
    "collide": "keras.Model(given, keras.layers.Lambda(lambda t: t[:, :1] % 3)(x))",
    "constant": "keras.Model(given, keras.layers.Rescaling(0.0)(x))",
    "reversing": "Moving(given, keras.layers.Identity()(x))",
    "put_back": "Moving(given, keras.layers.Identity()(x))",
    "chunks": "Moving(given, keras.layers.Identity()(x))",
    "inner_reverse": "keras.Model(given, keras.layers.Lambda(lambda t: t[::-1])(x))",
    "noisy": "keras.Model(given, Noise()(x))",
}
MOVES = {
    "reversing": "return super().predict(*args, **options)[::-1]",
    "put_back": "return super().predict(*args, **options)[::-1][::-1].copy()",
    "chunks": "return np.concatenate([super(Moving, self).predict(x[i:i + 8], **more) for i in range(0, len(x), 8)])",
}
NOISE = {
    "keras": """class Noise(keras.layers.Layer):
    def __init__(self): super().__init__(); self.seeds = keras.random.SeedGenerator(1)
    def call(self, t): return t + 0.5 * keras.random.uniform((1, 2), seed=self.seeds)""",
    "tf_keras": """class Noise(keras.layers.Layer):
    def call(self, t): return t + 0.5 * tf.random.uniform((1, 2), seed=1)""",
}


def script(program: Program, comment: str = "") -> str:
    """The program as Python that runs alone; it prints the reports."""
    about = "".join(f"# {line}\n" for line in comment.splitlines())
    run = 'evaluation(built(), guard, [])\nprint(*map(repr, sink.reports), sep="\\n")'
    guard = guard_text(program)
    if program.pool or any(call.model for call in program.calls):
        guard = f"model, other = built(), built()\n{guard}"
        run = run.replace("built()", "model", 1)
    parts = (head_text(program), model_text(program), body_text(program), guard, run)
    return about + "\n".join(parts) + "\n"


def head_text(program: Program) -> str:
    """Imports, inputs and targets."""
    text = "\n".join([model_text(program), body_text(program), guard_text(program)])
    modules = [name for name in ("asyncio", "contextlib", "tempfile", "time") if f"{name}." in text]
    logs = "LOG, SCORED = [], []" if program.confirms else "LOG = []"
    logs += "; GOT = []" if program.loops else ""
    lines = [f"import {', '.join(modules)}"] if modules else []
    also = {"tf.": ", tensorflow as tf", "pd.": ", pandas as pd"}
    more = "".join(name for used, name in also.items() if used in text)
    lines += [f"import numpy as np, {program.engine} as keras, evalguard, evalguard.testing{more}", logs]
    if program.images:
        lines.append("from PIL import Image")
    if "ThreadPoolExecutor" in text:
        lines[0] = f"from concurrent.futures import ThreadPoolExecutor; {lines[0]}"
    target = IMAGE_TARGETS.format(half=program.n // 2) if program.images else TARGETS[program.targets]
    lines += [
        "def inputs(ids): ids = np.asarray(ids); "
        f'return np.stack([{INPUTS[program.values]}], 1).astype("{program.dtype}")',
        f"def target(ids): return {target}",
    ]
    if program.weighted or any(each.weights != "none" for entry in program.confirms for each in entry):
        lines.append("def weight(ids): return 1 + np.asarray(ids) % 4 / 2")
    if program.keyed or program.identity == "pandas":
        key = "np.asarray(ids) * 17 + 1000"
        key = f'pd.to_datetime({key}, unit="D")' if "time" in program.index else key
        lines.append(f"def key(ids): return {key}")
    if program.classes:
        lines.append(f"def named(ids): return {CLASSES[program.classes]}")
    return "\n".join(lines)


def model_text(program: Program) -> str:
    """``built``, which makes the model; needs no more than the libraries."""
    lines = []
    if program.model in MOVES:
        lines += [
            "class Moving(keras.Model):",
            f"    def predict(self, *args, **options): {MOVES[program.model]}"
            if program.model != "chunks"
            else f"    def predict(self, x, **more): {MOVES['chunks']}",
        ]
    if program.model == "noisy":
        lines.append(NOISE[program.engine])
    dtype = ', dtype="float64"' if program.dtype == "float64" else ""
    lines.append("def built():")
    if program.images:
        lines += [
            "    given = keras.Input((4, 4, 3))",
            "    x = keras.layers.GlobalAveragePooling2D()(given)",
        ]
    elif program.keyed:
        lines += [
            f'    x = keras.Input((2,), name="x"{dtype})',
            '    given = {"x": x, "id": keras.Input((), dtype="int64", name="id")}',
        ]
    else:
        lines.append(f"    x = given = keras.Input((2,){dtype})")
    lines += [
        f"    model = {MODELS[program.model].replace('Identity()', f'Identity({dtype[2:]})')}",
        "    model.compile(loss=lambda y, p: p[:, 0]); return model",
    ]
    return "\n".join(lines)


def body_text(program: Program) -> str:
    """Sources, labels and ``evaluation(model, guard, returned)``; ``guard`` is None where the program runs bare."""
    lines = []
    for number, call in enumerate(program.calls):
        lines += source_text(program, call, number)
    lines += entries_text(program)
    return "\n".join(lines)


def call_text(program: Program, call: Call, number: int) -> str:
    """The expression that makes a call."""
    text = _bare_call_text(program, call, number)
    text = text.replace("model", "other") if call.model else text
    return f"part(guard, {list(call.named)}, lambda: {text})" if call.named else text


def _bare_call_text(program: Program, call: Call, number: int) -> str:
    if call.method in LOOPS:
        steps = f"range(len(parts_{number}))"
        if call.method == "test_on_batch":
            return f"[model.test_on_batch(*batch_{number}(at)) for at in {steps}]"
        function = "model" if call.method == "call" else "model.predict_on_batch"
        return f"joined([{function}(batch_{number}(at)[0]) for at in {steps}])"
    options = "verbose=0"
    if call.source == "endless":
        options += f", steps={len(call.parts)}"
    if program.engine == "tf_keras" and call.source == "pydataset_threads":
        options += ", workers=3"
    source = "made" if call.source == "endless" else f"source_{number}()"
    if call.source in ARRAYS:
        options += f", batch_size={program.batch}" + (f", steps={call.steps}" if call.steps else "")
        source = f"*source_{number}()" if call.method == "evaluate" else f"source_{number}()[0]"
    if call.method == "evaluate":
        options += ", return_dict=True"
    return f"model.{call.method}({source}, {options})"


def entries_text(program: Program) -> list[str]:
    """``evaluation``."""
    lines = helpers_text(program)
    joins = program.loops or any(len(each.of) != 1 for confirms in program.confirms for each in confirms)
    if joins or any(call.method in LOOPS for call in program.calls):
        structures = "keras.tree" if program.engine == "keras" else "__import__('tensorflow').nest"
        lines.append(
            "def joined(parts): "
            f"return {structures}.map_structure(lambda *p: np.concatenate([np.asarray(q) for q in p]), *parts)"
        )
    lines.append("def evaluation(model, guard, returned):")
    if program.used_as == "wrap":
        lines.append("    model = guard(model) if guard else model")
        if program.confirms or program.scope == "parts":
            lines[-1] += "; guard = guard and model.guard"
    number = 0
    for at_entry, entry in enumerate(program.entries):
        calls = [f"returned.append({call_text(program, call, number + at)})" for at, call in enumerate(entry)]
        inside = loops.entry_text(program, entry, number) if program.loops else []
        for at, call in enumerate(entry if not (program.pool or program.loops) else ()):
            if call.source == "endless" and not call.again:
                inside.append(f"made = source_{number + at}()")
            if call.thread:
                text = call_text(program, call, number + at)
                inside.append(
                    f"with ThreadPoolExecutor(1) as pool: returned.append(pool.submit(lambda: {text}).result())"
                )
            elif not program.together:
                inside.append(calls[at])
        if program.together:
            made = ", ".join(
                f"asyncio.to_thread(lambda: {call_text(program, call, number + at)})" for at, call in enumerate(entry)
            )
            inside += [f"async def both(): return await asyncio.gather({made})", "returned.extend(asyncio.run(both()))"]
        if program.pool:
            inside += pool_text(entry, [call_text(program, call, number + at) for at, call in enumerate(entry)])
        confirms = program.confirms_of(at_entry)
        scoring = loops.confirm_text if program.loops else confirm_text
        scored = [scoring(program, each, number, at_entry) for each in confirms if each.where != "after"]
        inside += [line for lines in scored for line in lines]
        if program.labels == "late":
            inside.append(f"if guard: guard.labels = {'named' if program.classes else 'target'}(range({program.n}))")
            if confirms and confirms[-1].where == "returned":
                inside[-2:] = inside[:-3:-1]
        lines += _entered(program, inside)
        for each in confirms:
            if each.where == "after":
                lines += [f"    {line}" for line in scoring(program, each, number, at_entry)]
        number += len(entry)
    return lines


def _entered(program: Program, inside: list[str]) -> list[str]:
    if program.used_as == "wrap" and program.scope == "call":
        return [f"    {line}" for line in inside]
    if program.used_as == "decorator":
        head = ["    def body():", *(f"        {line}" for line in inside)]
        return [*head, "    (guard(body) if guard else body)()"]
    head = ["    with guard or contextlib.nullcontext():"]
    if program.used_as == "wrap":
        head = ["    with model if guard else contextlib.nullcontext():"]
    if program.used_as == "nested":
        head = ["    with (outer if guard else contextlib.nullcontext()), guard or contextlib.nullcontext():"]
    return head + [f"        {line}" for line in inside]


def guard_text(program: Program) -> str:
    """``sink`` and ``guard``, and ``outer`` for nested guards."""
    options, before = options_of(program)
    lines = [*before, "sink = evalguard.testing.MemorySink()"]
    given = ", ".join(f"{name}={value}" for name, value in options.items())
    if program.used_as == "wrap":
        return "\n".join([*lines, f"guard = lambda model: evalguard.wrap(model, {given}, sinks=[sink])"])
    if program.used_as == "nested":
        lines.append(f"outer = evalguard.guard({given}, sinks=[evalguard.testing.MemorySink()])")
    return "\n".join([*lines, f"guard = evalguard.guard({given}, sinks=[sink])"])


def options_of(program: Program) -> tuple[dict[str, str], list[str]]:
    """The options of the guard as text, and the lines that they need before."""
    n = program.n
    options, before = {}, []
    target = f"named(range({n}))" if program.classes else f"target(range({n}))"
    if program.labels == "given":
        options["labels"] = target
    if program.identity == "pandas":
        options["labels"] = f"pd.Series({target}, index={INDEXES[program.index].format(n=n)})"
    if program.classes in NAMES:
        options["classes"] = NAMES[program.classes]
    if program.weighted and program.labels == "given":
        options["sample_weight"] = f"weight(range({n}))"
    if program.labels == "batches":
        key = ', key="id"' if program.keyed else ""
        before.append(f"batches = evalguard.collecting(lambda: source_0(){key})")
        options["labels"] = "batches"
    if program.labels == "file":
        key = {
            "key": "key(range({n}))",
            "key_function": "key(range({n}))",
            "key_padded": "np.char.zfill(key(range({n})).astype(str), 9)",
        }.get(program.identity, "range({n})").format(n=n)
        if program.images:
            before.append(f'files = [f"class{{int(i >= {n // 2})}}/{{i:03}}.png" for i in range({n})]')
            key = "files"
        weights = f', "weight": weight(range({n}))' if program.weighted else ""
        before += [
            f'pd.DataFrame({{"id": {key}, "label": {target}{weights}}}).to_csv('
            '(where := tempfile.TemporaryDirectory()).name + "/labels.csv", index=False)',
        ]
        if program.weighted:
            options["sample_weight"] = '"weight"'
        options["labels"] = 'where.name + "/labels.csv"'
        options["label_column"] = '"label"'
        if program.identity in KEYS:
            options["labels_key"] = '"id"'
    if program.labels == "collected":
        before += _collected_text(program)
        options["labels"] = "labels"
    if program.identity == "reference":
        options["reference"] = f"inputs(range({n}))"
    if program.identity == "reference_function":
        before += ["shown = np.zeros(2, 'float32')"] if program.reused_buffer else []
        body = "shown[:] = inputs([i])[0]; return shown" if program.reused_buffer else "return inputs([i])[0]"
        before.append(f"def sample(i): {body}")
        options["reference"] = "sample"
    if program.identity in {"key", "key_padded"} and not program.images:
        options["key"] = '"id"'
    if program.identity == "key_function" and not program.images:
        options["key"] = 'lambda batch: batch[0]["id"]'
    if program.has_twins:
        options["duplicate_inputs"] = '"allow"'
    options["on_failure"] = f'"{program.on_failure}"'
    options["on_unproven"] = '"record"'
    if program.scope != "call":
        options["scope"] = f'"{program.scope}"'
    if program.pool and program.used_as != "wrap":
        options["model"] = "model"
    if any(each.where == "returned" for entry in program.confirms for each in entry):
        options["returns"] = '"predictions"'
    if program.require != "declared":
        options["require"] = f'"{program.require}"'
    options["mlflow"] = "False"
    return options, before


def _collected_text(program: Program) -> list[str]:
    batches = [list(range(at, min(at + program.batch, program.n))) for at in range(0, program.n, program.batch)]
    lines, weights = ["def ordered():"], ", weight(rows)" if program.weighted else ""
    if program.reused_buffer:
        lines += [
            f'    x, y = np.zeros(({program.batch}, 2), "float32"), target(range({program.batch}))',
            f"    for rows in {batches}:",
            "        x[:len(rows)], y[:len(rows)] = inputs(rows), target(rows)",
            f"        yield x[:len(rows)], y[:len(rows)]{weights}",
        ]
    else:
        lines.append(f"    return ((inputs(rows), target(rows){weights}) for rows in {batches})")
    return [*lines, "labels = evalguard.Labels.collect(ordered)"]
