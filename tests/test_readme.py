"""README.md does what it says: its Python blocks are run, one after the other, as a reader would paste them."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(text: str) -> list[tuple[int, str]]:
    """Each Python block and the number of the line it starts at."""
    return [(text.count("\n", 0, match.start(1)) + 1, match[1]) for match in BLOCK.finditer(text)]


def test_blocks_are_found_with_their_line_numbers() -> None:
    text = "a\n```python\nx = 1\ny = 2\n```\n```bash\nls\n```\n```python\nz = 3\n```\n"
    assert python_blocks(text) == [(3, "x = 1\ny = 2\n"), (10, "z = 3\n")]


@pytest.mark.slow
def test_every_python_block_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "readme"}
    blocks = python_blocks(README.read_text(encoding="utf-8"))
    assert blocks
    for line, block in blocks:
        # Blank lines in front, so that a traceback names README.md's own line.
        code = compile("\n" * (line - 1) + block, str(README), "exec")
        exec(code, namespace)  # noqa: S102 - our own README, that is the test
