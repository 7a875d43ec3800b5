"""What an import pulls in, looked at in a process of its own; and that this look can fail."""

import subprocess
import sys

import pytest

FORBIDDEN = {
    "trainables, trainables.data, trainables.methods, trainables.prediction, trainables.randaugment": {"ray"},
    "analysis, analysis.commands, analysis.figures, analysis.report, analysis.cli, analysis.compare, analysis.export, "
    "analysis.metric_table, analysis.worst": {"torch", "ray", "medmnist"},
    # Importing scikit-learn and SciPy takes a second, which a plan or a table need not wait for.
    "analysis.commands, grid.commands": {"sklearn", "scipy"},
    "analysis.command_line, records.text, records.errors": {"torch", "ray", "numpy", "pyarrow", "matplotlib"},
    "records.folder, records.npz, records.digits, records.schemas, records.studies": {
        "torch",
        "ray",
        "medmnist",
        "psutil",
    },
    "images.checking, images.importing, images.folder, images.table, grid.data_commands": {
        "torch",
        "ray",
        "medmnist",
        "psutil",
        "pydicom",
    },
    "grid.cli": {"torch", "ray", "numpy", "pyarrow", "PIL"},
    "grid.status, grid.export": {"torch", "ray", "psutil", "medmnist", "safetensors"},
    "grid.study": {"ray"},
}


def loaded_by(modules: str) -> set[str]:
    """Top-level packages that importing `modules`, all of salun_grid, leaves in sys.modules."""
    names = ", ".join(f"salun_grid.{module}" for module in modules.split(", "))
    code = f"import sys, {names}; print(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("modules", FORBIDDEN)
def test_import_stays_within_its_boundary(modules: str) -> None:
    assert not loaded_by(modules) & FORBIDDEN[modules]


def test_a_broken_boundary_is_seen() -> None:
    """The look itself: a module that does import the packages is caught."""
    assert {"torch", "ray"} <= loaded_by("trainables.seeds, grid.on_ray.cluster")
