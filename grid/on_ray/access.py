"""Checks that a Ray cluster requires a token and accepts this user's, before Ray is imported: Ray reads the mode once.

Anyone who reaches Ray's ports can run code, unless the cluster was started with a token (docs/cluster.md).
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

from salun_grid.records.errors import InputError

SECONDS_TO_ANSWER = 30
MAX_CHARACTERS = 300  # of Ray's error message
HOW = "docs/cluster.md has the commands"

# Ray's GCS client (a private name) answers in less than a second, where `ray.init` retries for minutes. It runs in a
# separate process, since Ray reads the mode once.
PROBE = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1]).get_all_node_info(timeout=10)
    print("open")
except AuthenticationError:
    print("closed")
"""


def check_access(address: str, allow_open: bool) -> None:
    """Set Ray's token mode for the cluster at `address`, which is HOST:PORT or "auto".

    Raises InputError if no cluster answers, if it requires a token that this user does not have, and, unless
    `allow_open`, if it requires none.
    """
    if address == "auto":
        address = local_address()
    check_answers(address)
    if lets_in(address, "disabled"):
        if not allow_open:
            raise InputError(
                f"the Ray cluster at {address} requires no token, so anyone who reaches its ports can run code there; "
                f"start it with a token ({HOW}), or accept the risk with --allow-open-cluster."
            )
        # The cluster's processes send no token, so a driver that requires one would reject them.
        os.environ["RAY_AUTH_MODE"] = "disabled"
        return
    source = token_source()
    if source is None or not lets_in(address, "token"):
        problem = f"does not accept the token in {source}" if source else "requires a token, and this user has none"
        raise InputError(
            f"the Ray cluster at {address} {problem}; copy ~/.ray/auth_token from the head node with mode 600 ({HOW})."
        )
    os.environ["RAY_AUTH_MODE"] = "token"


def token_source() -> str | None:
    """The variable or file in which Ray finds this user's token; None if there is none."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    return str(path) if path.is_file() else None


def check_answers(address: str) -> None:
    """Raise InputError at once if nothing listens; Ray itself would retry for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "://" in host or not port.isdecimal():
        raise InputError(
            f"{address} is not the address of a Ray cluster; give HOST:PORT of its head node, such as 10.0.0.1:6379, "
            "or local to start Ray on this machine. The default is RAY_ADDRESS."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster answers at {address} ({error}); give HOST:PORT of its head node.") from None


def lets_in(address: str, mode: str) -> bool:
    """Whether the cluster accepts a client in the token mode `mode`; `disabled` sends no token."""
    environment = os.environ | {"RAY_AUTH_MODE": mode, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    try:
        probe = subprocess.run(
            [sys.executable, "-c", PROBE, address],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_TO_ANSWER,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"the server at {address} does not answer as Ray does; give HOST:PORT of the head node."
        ) from None
    answer = probe.stdout.strip().rpartition("\n")[2]
    if answer not in ("open", "closed"):
        reason = probe.stderr.strip().rpartition("\n")[2][:MAX_CHARACTERS] or "no answer"
        raise InputError(f"cannot join the Ray cluster at {address} ({reason}).")
    return answer == "open"


def local_address() -> str:
    """The address of the cluster running on this machine. Raises InputError if there is none."""
    code = "from ray._private.services import canonicalize_bootstrap_address as f; print(f('auto') or '')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    address = (found.stdout.strip().splitlines() or [""])[-1]
    if not address:
        raise InputError("no Ray cluster runs on this machine; start one, or give --address HOST:PORT.")
    return address
