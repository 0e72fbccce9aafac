"""The notebook runs to its end on the demo, draws its pictures without a network, and is kept without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from data import EXAMPLES
from tests.demo import played_in_shadow

pytestmark = pytest.mark.xdist_group("demo")  # its nights are played once

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


# Jupyter warns of its own ways: of a loop that it makes, and that the kernel is spoken to in the clear.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs(file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYHOUSE_WORKSPACE", str(played_in_shadow(tmp_path_factory)))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "'nights': 7" in cells[0].outputs[-1].data["text/plain"]
    for cell in cells[1:]:
        assert [it.output_type for it in cell.outputs] == ["execute_result"], cell.outputs
        picture = cell.outputs[0].data["image/svg+xml"]
        assert picture.count("<path") > 10
        assert "http" not in picture.replace("http://www.w3.org/", "")


def test_notebooks_are_kept_without_outputs() -> None:
    assert NOTEBOOKS
    for file in NOTEBOOKS:
        for cell in nbformat.read(file, as_version=4).cells:
            if cell.cell_type == "code":
                assert (cell.outputs, cell.execution_count) == ([], None), file.name
