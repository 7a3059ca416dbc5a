"""The Python blocks of the README and of docs/ run, each file's in order in one namespace.

A block after a line `<!-- not run: reason -->` is shown only. A block of lines `>>> ...` is a doctest.
"""

import doctest
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(<!-- not run: [^\n]+ -->\n+)?^```python\n(.*?)^```$", re.S | re.M)


def blocks(text: str) -> list[tuple[int, str]]:
    """(line, code) of every block that runs."""
    return [(text[: m.start(2)].count("\n") + 1, m[2]) for m in BLOCK.finditer(text) if not m[1]]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_python_blocks_run(path: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    namespace: dict[str, object] = {"__name__": "docs"}
    for line, code in blocks(path.read_text()):
        if code.lstrip().startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, namespace, path.name, str(path), line)
            namespace = test.globs
            result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False)
            assert result.failed == 0, f"{path.name}:{line}"
        else:
            exec(compile("\n" * (line - 1) + code, str(path), "exec"), namespace)
