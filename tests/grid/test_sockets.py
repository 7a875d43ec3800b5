"""A Ray that we start listens on loopback only, and a port beyond it ends the start in a sentence."""

import socket
from pathlib import Path

import pytest

from salun_grid.grid.on_ray import cluster
from salun_grid.grid.on_ray.sockets import is_loopback, open_ports
from salun_grid.records.errors import InputError


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.0.2", "::ffff:10.0.0.1", "fe80::1%eth0"])
def test_not_loopback(address: str) -> None:
    assert not is_loopback(address)


def test_a_port_of_this_process_on_all_interfaces_is_found_and_one_on_loopback_is_not() -> None:
    before = set(open_ports())
    with socket.create_server(("0.0.0.0", 0)) as everywhere, socket.create_server(("127.0.0.1", 0)):
        assert set(open_ports()) - before == {("0.0.0.0", everywhere.getsockname()[1])}


def test_ray_is_not_used_where_it_listens_beyond_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself is not started; what is looked at afterwards says that it is open."""
    monkeypatch.setattr(cluster.ray, "init", lambda **_: None)
    monkeypatch.setattr(cluster, "open_ports", lambda: [("0.0.0.0", 6379)])
    with (
        pytest.raises(InputError, match=r"Ray listens beyond loopback, on 0\.0\.0\.0:6379"),
        cluster.connected(None, tmp_path / "log"),
    ):
        pass
