"""Words that must not come back: riddles, old-fashioned turns, and private names for what the field has a word for.

Read are comments, docstrings, texts and the names of functions and classes in Python files, the page's template, and
the documentation. CHANGELOG.md may name what was renamed.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Expression → what to say instead. Case does not matter, nor does where a line is broken.
WORDS: dict[str, str] = {
    r"stands? at (its|their|the) (own )?labels?": "match their labels",
    r"hand(s|ed|ing)? ((it|them|each|this|that|rows|batches) )?(back|out|over)": "return; emit; pass",
    r"(is|are|was|were|be|been|being|not) told": "is reported; is distinguished",
    r"told (as|apart|by|in|what|that|which|from)": "reported as; distinguished",
    r"tells? (apart|which|what|whether|how|where|why|that)": "report, show",
    r"noted|noting|to note (a|an|the|it|one|each|what)": "recorded, recording, record",
    r"looks? at|looked at|looking at|look into": "check; hash; inspect",
    r"look(s|ed|ing)? alike|(not|is|are) alike": "equal at the sampled positions; equal",
    r"held against|hold(s|ing)? [^.]{1,30} against": "compared with",
    r"(batch(es)?|rows?) held(?! ?-?out| by a lock| to| back)": "buffered",
    r"(?<!shuffled )anew|refill(s|ed|ing)?": "again; overwritten; a reused buffer",
    r"seal(s|ed|ing|able)?": "digest, digested",
    r"lent": "reused buffer",
    r"(?<!tf\.)(?<!\.)nests?": "tree, as in tf.nest and optree; nested structure",
    r"(?<![\"'/_.])figures(?![\"'.(]|\.json)": "metrics, metric values; results",
    r"(a|an|each|every|no|any|one|its) figure(?! of matplotlib)": "metric, metric value",
    r"cur(e|es|ed|ing)": "fix",
    r"(?<!ground )(?<!ground-)(?<![\"'])truth(?! value|[\"'])": "labels; the verdict",
    r"in (its|their|whose) (own )?places?|of (its|their) places?": "in position; at its own index",
    r"(chosen|chooses?) by (its|their|the)? ?place|out of (its )?place": "by position; out of position",
    r"chang(e|ed|es) places|places? (too )?(early|late|earlier|later)": "swapped; positions early or late",
    r"next to (no|none|nothing)": "almost no; almost none of the rows match (3 of 540)",
    r"came out (after|as|in|of)|comes? out (after|in)": "are out of order (RFC 4737); arrived",
    r"asked for twice|asked twice": "`__getitem__(0)` returned different data on a second call",
    r"the proof is only": "not proven: what was not observed",
    r"nothing (was|is|could be) (judged|seen)|nothing wrong was seen": "no prediction was observed",
    r"which no \w+ minds?": "which does not change any metric",
    r"no oftener|oftener": "no more often",
    r"(?-i:DELIVERED)": "PREDICTIONS",
    r"with own targets": "scored with the stream's own labels",
    r"no (predict|fit) of a Keras model was seen": "no guarded call was observed",
    r"what guarding took": "the guard's own time",
    r"a PASS that says less": "a weaker `require` gives a weaker PASS",
    r"is no evaluation": "its PASS does not open a gate",
    r"whoever|whomever|whichever": "name who or what",
    r"(?-i:(?<!here )(is|are|was) none(?! of| else| %}))|is none,": "there is no …",
    r"(?-i:(?<=[.:;] )Of (these|those|what|which|all|some|several|the|a|each|two|many|them|its))": "subject first",
    r"of (its|their|his|our|my|one's) own": "its own …; a separate …",
    r"put (them |it |rows |what is )?right": "reordered; corrected; repaired",
    r"doors?": "entry point",
    r"by (its|their|the) places?|places? (of|in) (an?|the|each|every) (row|array|table)s?|row'?s? places?": "position",
    r"taken for granted": "assumed",
    r"give[sn]? way|gave way": "is not replaced by",
    r"nobody (has to )?(ask|say)s?( for)?|nobody (asked|said)": "without any option; not given",
    r"as (the|a|this) model is fed( it)?": "as the model receives it",
    r"such two": "these",
    # Names of before.
    r"(?-i:ArraySeals|Wanted|Pile|TagLogs?|taglog|MISTAKES?|Mistake|Untold)": "the names of today",
    r"evalguard[./](sinks|render|probes|engines|seals|gating|controller)": "the rooms of today",
}  # fmt: skip
PATTERNS = [(re.compile(rf"(?<!\w)(?:{word})(?!\w)", re.IGNORECASE), say) for word, say in WORDS.items()]
ROOMS = (
    "core", "data", "reporting", "labels", "capture", "tracking", "guards", "testing", "step", "cli",
)  # fmt: skip
# Where old names are the subject.
EXEMPT = ("tests/test_words.py", "CHANGELOG.md", "evalguard/testing/__init__.py", "tests/tracking/test_outage.py")


def said_in(path: Path) -> Iterator[tuple[int, str]]:
    """What a person reads in a file: line number and text."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, text
        return
    lines, comment, at, end, previous = text.splitlines(), "", 0, 0, ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            # Lines that follow one another are one text.
            comment, at = (comment, at) if comment and token.start[0] == end + 1 else ("", token.start[0])
            comment, end = f"{comment} {token.string.lstrip('#: ')}".strip(), token.start[0]
            if not "".join(lines[end : end + 1]).lstrip().startswith("#"):
                yield at, comment
                comment = ""
        elif token.type == tokenize.STRING:
            yield token.start[0], token.string
        elif token.type == tokenize.NAME and previous in {"def", "class"}:
            yield token.start[0], token.string if previous == "class" else token.string.replace("_", " ")
        if token.type not in {tokenize.NL, tokenize.COMMENT}:
            previous = token.string


def found_in(path: Path) -> list[str]:
    """Each word that must not come back: file, line, words, what to say."""
    found = []
    for line, text in said_in(path):
        flat = re.sub(r"\s+", " ", text)
        for pattern, say in PATTERNS:
            for match in pattern.finditer(flat):
                around = flat[max(0, match.start() - 30) : match.end() + 30]
                found.append(f"{path.relative_to(ROOT)}:{line}: {match[0]!r} in {around!r}; say: {say}")
    return found


# Numbers, by the text of their expression; further ones in the evidence of causes.
COUNT = re.compile(r"len\(.*\)|(.*\.)?(n_\w+|size)")
OF_CAUSES = re.compile(
    r"(int|abs)\(.*\)|[\w.]*fact\(.*\)|([\w.]+\.)?(n|batch)|[\w. ]* (-|\+|//|%|\*) [\w. ]+"
    r"|times|steps?|shift|factor|workers|files|replicas|extra|early|late|delivered|number|expected"
)
# A letter or a dash before it makes it a part of a name, as in `report-2.html`; inside a call or an index it is code.
NO_NUMBER = re.compile(r"[\w=-]$|(^|\w)\[[^\]]*$|\w\([^()]*$")
# In a comment of a fix, numbers have a form: `{n:,}`, `{n:row}`.
WITHOUT_FORM = re.compile(r"  # .*[ -]{(n|by|factor|files|parts|size|times|whole|all|rows_n|row)}(?=[ ,.:;)\"])")
NOUN = re.compile(r" (rows|labels|samples|predictions|batches|calls|columns|keys|validations|runs)\b")
# After these words a number is the size of a whole, as in "2 of 100 rows".
OF_A_WHOLE = re.compile(r"(^|\W)(of|the|all|last|first|for|than|to|most|least) $")


def counts_in(path: Path) -> Iterator[str]:
    """Numbers in messages that are not grouped, as ``4,999,990``, or whose noun is plural at 1, as ``1 rows``."""
    name = str(path.relative_to(ROOT))
    for text in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = text.values if isinstance(text, ast.JoinedStr) else []
        words = ["", *(str(part.value) if isinstance(part, ast.Constant) else "" for part in parts), ""]
        so_far = ""
        for before, part, after in zip(words, parts, words[2:], strict=False):
            so_far += before
            if not isinstance(part, ast.FormattedValue):
                continue
            found = ast.unparse(part.value)
            number = COUNT.fullmatch(found) or ("core/diagnosis" in name and OF_CAUSES.fullmatch(found))
            if part.format_spec is None and number and not NO_NUMBER.search(so_far):
                yield f"{name}:{part.lineno}: {{{found}}}; say: {{{found}:,}}"
            noun = NOUN.match(after) if part.format_spec is not None else None
            if noun and not OF_A_WHOLE.search(before):
                yield f"{name}:{part.lineno}: {{{found}:,}}{noun[0]}; say: {{plural({found}, ...)}}"


def files_of(place: str) -> list[Path]:
    """The files of a room with its tests, or of everything else."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    tracked = listed.stdout.split()
    read = [name for name in tracked if name.endswith((".py", ".md", ".j2", "causes.toml")) and name not in EXEMPT]
    mine = {name for name in read if name.startswith(tuple(f"{top}/{place}/" for top in ("evalguard", "tests")))}
    others = {
        name for name in read if not name.startswith(tuple(f"{t}/{r}/" for t in ("evalguard", "tests") for r in ROOMS))
    }
    return sorted(ROOT / name for name in (others if place == "elsewhere" else mine))


@pytest.mark.parametrize("place", [*ROOMS, "elsewhere"])
def test_no_retired_word_has_come_back(place: str) -> None:
    files = files_of(place)
    assert files
    found = [line for path in files for line in found_in(path)]
    assert not found, f"{len(found)} in all\n" + "\n".join(found)


@pytest.mark.parametrize("place", ROOMS)
def test_numbers_in_messages_are_grouped_and_have_the_noun_of_their_number(place: str) -> None:
    files = [path for path in files_of(place) if path.suffix == ".py" and path.is_relative_to(ROOT / "evalguard")]
    assert [found for path in files for found in counts_in(path)] == []


def test_numbers_in_fixes_have_a_form() -> None:
    fixes = (ROOT / "evalguard/core/diagnosis/causes.toml").read_text(encoding="utf-8")
    assert [line for line in fixes.splitlines() if WITHOUT_FORM.search(line)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{len(rows)} of {n:,} rows", 1),
        ("found {trace.n_rows} or {missing.size}", 2),
        ("{n:,} rows are missing; {k:,} keys", 2),
        ("{len(rows):,} of the {n:,} rows, {plural(k, 'key')}, in report-{len(done)}.html", 0),
        ("sample {start + 1}, {steps} by {view.batch}", 3),
        ("take(range({n})), x[{first}:{last + 1}], steps={steps}", 0),
    ],
)
def test_a_number_without_its_form_is_found(
    text: str, said: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "core/diagnosis/module.py"
    path.parent.mkdir(parents=True)
    path.write_text(f'msg = f"{text}"')
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    assert len(list(counts_in(path))) == said


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("x = 1  # batches that are handed\n# out", id="comment-over-two-lines"),
        pytest.param('"""Rows that\n    look alike."""', id="docstring"),
        pytest.param('msg = f"{n} rows stand at their own label"', id="message"),
        pytest.param("def test_what_is_told(): ...", id="name-of-a-test"),
        pytest.param("class Seals: ...", id="class"),
    ],
)
def test_a_retired_word_is_found(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    assert len(found_in(path)) == 1


def test_plain_words_are_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.md"
    path.write_text("The ground truth, a held-out set, tf.nest, matplotlib's `figures.Figure`: all plain.")
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    assert found_in(path) == []
