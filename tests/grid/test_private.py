"""The private names of Ray that grid/on_ray/private.py uses: a Ray without one of them fails here, by its name."""

import ast
import importlib
from pathlib import Path

import pytest

from salun_grid.grid.on_ray import private

ROOT = Path(__file__).parents[2]
NAMES = {
    "ray._private.ray_constants": ("ENABLE_RAY_CLUSTER", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"),
    "ray._private.utils": ("set_sigterm_handler",),
    "ray._private.resource_and_label_spec": ("ResourceAndLabelSpec",),
    "ray.air.execution._internal.actor_manager": ("RayActorManager",),
    "ray._raylet": ("GcsClient",),
}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in NAMES.items() for name in names])
def test_ray_still_has_the_name(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def test_the_method_that_is_replaced_is_there_and_is_replaced_once() -> None:
    manager = private.RayActorManager
    assert callable(manager._actor_task_failed)
    private.restart_what_runs_out_of_memory()
    replaced = manager._actor_task_failed
    private.restart_what_runs_out_of_memory()
    assert manager._actor_task_failed is replaced


def imports_of(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return found + [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


def test_one_folder_imports_ray_and_one_file_its_private_modules() -> None:
    paths = [
        path for package in ("analysis", "grid", "records", "trainables") for path in (ROOT / package).rglob("*.py")
    ]
    users = {path.relative_to(ROOT) for path in paths if any(n.split(".")[0] == "ray" for n in imports_of(path))}
    assert {str(path.parent) for path in users} - {"grid/on_ray"} <= {"grid"}
    assert {str(path) for path in users if path.parent.name == "grid"} <= {"grid/doctor.py"}  # starts Ray to try it
    private_users = {path.name for path in paths if any(map(is_private, imports_of(path)))}
    assert private_users == {"private.py"}


def is_private(module: str) -> bool:
    parts = module.split(".")
    return parts[0] == "ray" and any(part.startswith("_") for part in parts)
