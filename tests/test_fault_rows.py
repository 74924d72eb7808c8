"""Every row of the programme of faults is tested, and nothing of what it bars is used.

The rows: W writing, S sharing of files, E encoding, R damage, X attacks, D clusters and
memory. A test names the rows that it shows: ``test_w1_w8_...``.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import cubekit as ck

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "cubekit"

ROWS = {
    "W": (1, 3, 4, 5, 6, 8, 9, *range(10, 23)),
    "S": (1, 2, 4, 5, 6, 7, 8),
    "E": (1, 2, 5, 6, 7, 8, 9, 10, 11),
    "R": (1, 2, 3, 5),
    "X": range(1, 12),
    "D": range(1, 9),
}


@pytest.mark.parametrize(
    "row", [f"{letter}{number}" for letter, all_ in ROWS.items() for number in all_]
)
def test_each_row_is_claimed_by_a_test(row):
    claim = re.compile(rf"^def test_(?:[wserxd]\d+_)*{row.lower()}_", re.M)
    texts = [path.read_text("utf-8") for path in HERE.glob("test_*.py")]
    assert any(claim.search(text) for text in texts)


@pytest.mark.parametrize(
    "text",
    [
        'step: !!python/object/apply:os.system ["true"]\n',
        "step: &again [*again]\n",
        '[[step]]\ndo = "savgol_filter"\ndo = "derivative"\n',
    ],
)
def test_x8_recipe_is_toml_whose_tags_aliases_and_doubled_keys_are_refused(text):
    with pytest.raises(ck.RecipeError):
        ck.Recipe.from_toml(text)


def test_x8_no_reader_of_yaml_is_used():
    names = {name.partition(".")[0] for _, name in imports()}
    assert names.isdisjoint({"yaml", "ruamel", "pickle", "joblib", "marshal", "shelve"})
    assert "tomllib" in names


def test_x11_what_could_run_foreign_text_or_names_is_nowhere_in_the_package():
    found = []
    for path, node in nodes():
        if isinstance(node, ast.Assert):
            found.append((path.name, node.lineno, "assert"))
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        shell = any(keyword.arg == "shell" for keyword in node.keywords)
        if (
            name in {"eval", "exec", "compile", "os.system", "os.popen"}
            or name.endswith(("pickle.load", "pickle.loads", "yaml.load", ".mktemp"))
            or shell
        ):
            found.append((path.name, node.lineno, name))
    assert found == []


def nodes():
    """Each node of the source, with its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield path, node


def imports():
    """Each module that is imported anywhere, with the file that does."""
    for path, node in nodes():
        if isinstance(node, ast.Import):
            yield from ((path, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield path, node.module or ""
