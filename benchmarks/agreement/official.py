"""Import of the authors' code from a user's checkout, adapted to run on a CPU in float64.

None of that code is part of this project. Adaptations are applied by patching within a `with` block and recorded in
`Official.adaptations`.
"""

import importlib
import importlib.abc
import importlib.machinery
import io
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from salun_grid.records.errors import InputError


@dataclass
class Official:
    """A checkout with importable modules; `adaptations` records what they needed."""

    folder: Path
    adaptations: list[str] = field(default_factory=list)

    def module(self, name: str) -> Any:
        """Import a module of the checkout by its dotted name relative to `folder`."""
        return importlib.import_module(name)

    def without_init(self, *packages: str) -> None:
        """Skip the `__init__` of packages of the checkout when their modules are imported."""
        for name in packages:
            package = ModuleType(name)
            package.__path__ = [str(self.folder.joinpath(*name.split(".")))]
            sys.modules[name] = package
        self.adaptations.append(f"`__init__` of {', '.join(packages)} is skipped")

    def stand_in(self, *packages: str) -> None:
        """Replace packages of the checkout that the step does not use by stand-ins."""
        for name in packages:
            sys.modules[name] = StandIn(name)
            parent, _, last = name.rpartition(".")
            if parent in sys.modules and not hasattr(sys.modules[parent], last):
                setattr(sys.modules[parent], last, sys.modules[name])
        self.adaptations.append(f"a stand-in for {', '.join(packages)}, which the step does not use")


@contextmanager
def official_code(folder: Path) -> Iterator[Official]:
    """Make modules importable from `folder`, silenced, on the CPU and in float64; unload them on exit."""
    official = Official(folder)
    before = set(sys.modules)
    stand_ins = StandIns(official)
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        stack.enter_context(patch.object(sys, "path", [str(folder), *sys.path]))
        # Some of the authors' modules parse the command line at import.
        stack.enter_context(patch.object(sys, "argv", ["official"]))
        stack.enter_context(patch.object(sys, "meta_path", [*sys.meta_path, stand_ins]))
        # Keeps bytecode out of the user's checkout.
        stack.enter_context(patch.object(sys, "dont_write_bytecode", True))
        for target, name, replacement in on_the_cpu():
            stack.enter_context(patch.object(target, name, replacement))
        try:
            yield official
        finally:
            for name in set(sys.modules) - before:
                if belongs(sys.modules[name], folder):
                    del sys.modules[name]


def belongs(module: ModuleType, folder: Path) -> bool:
    """Whether a module is from the checkout or is a stand-in."""
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
    return isinstance(module, StandIn) or any(place and Path(place).is_relative_to(folder) for place in places)


def checked(folder: Path, files: Sequence[str]) -> Path:
    """Return the resolved `folder`. Raises InputError if it is not a folder or lacks one of `files`."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a checkout of the authors' repository.")
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} has no {missing[0]}; give a checkout of the authors' repository.")
    return folder.resolve()


def commit_of(folder: Path) -> str:
    """The commit of a checkout, or "unknown" if it is not a git repository."""
    # Otherwise git would report a repository that contains the folder.
    if not (folder / ".git").exists():
        return "unknown"
    found = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


# --- the CPU, in float64 -------------------------------------------------------------------------------------


def on_the_cpu() -> list[tuple[Any, str, Callable[..., Any]]]:
    """The patches: moves to a GPU are no-ops, and conversions to float32 keep float64."""
    return [
        (Tensor, "cuda", lambda self, *_, **__: self),
        (nn.Module, "cuda", lambda self, *_, **__: self),
        (Tensor, "float", lambda self, *_, **__: self if self.dtype == torch.float64 else self.double()),
        (Tensor, "to", moved(Tensor.to)),
        (nn.Module, "to", moved(nn.Module.to)),
    ]


def moved(original: Callable[..., Any]) -> Callable[..., Any]:
    """`to` with GPU devices replaced by the CPU."""

    def to(self: Any, *arguments: Any, **keywords: Any) -> Any:
        keywords = {name: on_cpu(value) for name, value in keywords.items()}
        return original(self, *map(on_cpu, arguments), **keywords)

    return to


def on_cpu(value: Any) -> Any:
    is_device = isinstance(value, str | torch.device)
    return torch.device("cpu") if is_device and str(value).startswith("cuda") else value


# --- missing packages ---------------------------------------------------------------------------------------


class Absent:
    """A no-op object for whatever the authors' code gets from a missing package at import."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> "Absent":
        return Absent()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent()

    def __getitem__(self, _: Any) -> "Absent":
        return Absent()

    def nothing(self, *_: Any) -> "Absent":
        return Absent()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = nothing
    __matmul__ = __rmatmul__ = __neg__ = __le__ = __ge__ = nothing


class StandIn(ModuleType):
    """A stand-in for a missing package, in which every name is a no-op class."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Absent,), {})


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """An import finder of last resort that makes stand-ins and records each package once."""

    def __init__(self, official: Official) -> None:
        self.folder, self.adaptations = official.folder, official.adaptations

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        parent = name.partition(".")[0]
        inside = parent != name
        if inside and not isinstance(sys.modules.get(parent), StandIn):
            return None
        if not Path(importing_file()).is_relative_to(self.folder):
            return None  # a library probing for an optional package
        if not inside:
            self.adaptations.append(f"a stand-in for the missing package {name}")
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """No-op."""


def importing_file() -> str:
    """The file that contains the current import statement."""
    frame = sys._getframe(1)
    while frame.f_back and ("importlib" in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    return frame.f_code.co_filename
