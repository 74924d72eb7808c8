"""Every notebook runs as it stands, and is kept without its outputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[dict]:
    notebook = json.loads(path.read_text("utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def text(cell: dict) -> str:
    return "".join(cell["source"])


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_stripped(path):
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_begins_with_a_title_and_says_how_to_use_a_file(path):
    first = text(cells(path, "markdown")[0])
    assert first.startswith("# ")
    assert "ck.open_cube(" in first


def marked(path: Path) -> object:
    """Parameter of a test that runs a notebook, with what the notebook needs."""
    text = path.read_text("utf-8")
    marks = [pytest.mark.torch] if "Autoencoder(" in text else []
    return pytest.param(path, marks=marks, id=path.stem)


@pytest.mark.slow
@pytest.mark.parametrize("path", [marked(path) for path in NOTEBOOKS])
# the kernel's own libraries deprecate things among themselves
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebook_runs_and_draws_and_complains_of_nothing(
    path, tmp_path, monkeypatch
):
    import nbclient  # noqa: PLC0415  in the extra docs, for slow tests alone
    import nbformat  # noqa: PLC0415

    old = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), old])))
    monkeypatch.setenv("PYTHONWARNINGS", "")
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 3
