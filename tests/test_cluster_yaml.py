"""cluster.yaml, by Ray's own code, and requirements.lock, which its machines install."""

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parent.parent
CLUSTER: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def validated() -> Any:
    """Ray's own filling-in and checking of a cluster file."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    def check(config: dict[str, Any]) -> dict[str, Any]:
        prepared = prepare_config(copy.deepcopy(config))
        validate_config(prepared)
        return prepared

    return check


def test_ray_accepts_the_file(validated: Any) -> None:
    prepared = validated(CLUSTER)
    head, gpu = prepared["available_node_types"]["head"], prepared["available_node_types"]["gpu"]
    assert head["max_workers"] == 0
    assert head["resources"] == {"CPU": 0}
    assert gpu["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert (gpu["min_workers"], gpu["max_workers"]) == (0, 8)


def test_ray_refuses_a_wrong_file(validated: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validated(CLUSTER | {"idle_timeout_minutes": "five"})


def test_machines_install_the_lock() -> None:
    assert any("requirements.lock" in command for command in CLUSTER["setup_commands"])
    assert not re.search(r"https?://|--index|--extra-index|-e ", LOCK)


def test_the_lock_pins_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["grid"]]
    pinned = set(re.findall(r"^([A-Za-z0-9-]+)(?:\[[a-z,]+\])?==", LOCK, re.MULTILINE))
    assert {re.split(r"[\[><=]", requirement)[0] for requirement in wanted} <= pinned


def test_every_node_asks_for_the_token() -> None:
    starts = [*CLUSTER["head_start_ray_commands"], *CLUSTER["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token ~/env/bin/ray start" in line for line in starts if "ray start" in line)
    assert CLUSTER["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("chmod 600 ~/.ray/auth_token" in line for line in CLUSTER["setup_commands"])
