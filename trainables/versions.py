"""The part of a key that represents the code of a method or a probe."""

import inspect
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from salun_grid.records.errors import InputError


def version_in_key(version: int | None, function: Callable[..., Any]) -> int | str:
    """`version`, or if that is None, a hash of the source of the module that defines `function`.

    Code under development thus never reuses the results of an earlier edit, and versioned code keeps its results when
    a comment changes. Raises InputError if there is neither a version nor a source.
    """
    if version is not None:
        return version
    try:
        return sha256(inspect.getsource(inspect.getmodule(function)).encode()).hexdigest()[:12]  # type: ignore[arg-type]
    except (OSError, TypeError):
        name = getattr(function, "__name__", "a function")
        raise InputError(f"the source of {name} cannot be read and it has no version; set its version.") from None
