"""Whether a Ray cluster lets this user in, and nobody else: asked before Ray is imported, which reads the mode once.

Ray's ports run any code that reaches them, unless the cluster was started with a token (docs/cluster.md).
"""

import os
import socket
import subprocess
import sys

from trainables.errors import InputError

SECONDS_TO_ANSWER = 30
HOW = "docs/cluster.md has the commands"

# Ray's client for a cluster's control service (a private name) answers in less than a second, where `ray.init` retries
# for minutes. A process of its own, since Ray reads the mode once.
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

    Raises InputError where no cluster answers, where it asks for a token that this user does not have, and, unless
    `allow_open`, where it asks for none.
    """
    if address == "auto":
        address = local_address()
    check_answers(address)
    if lets_in(address, "disabled"):
        if not allow_open:
            raise InputError(
                f"the Ray cluster at {address} asks for no token, so anyone who reaches its ports can run code there; "
                f"start it with a token ({HOW}), or accept the risk with --allow-open-cluster."
            )
        os.environ["RAY_AUTH_MODE"] = "disabled"
        return
    if not lets_in(address, "token"):
        raise InputError(
            f"the Ray cluster at {address} refuses this user's token, or there is none; copy ~/.ray/auth_token from "
            f"the head node with mode 600 ({HOW})."
        )
    os.environ["RAY_AUTH_MODE"] = "token"


def check_answers(address: str) -> None:
    """Raise InputError at once where nothing listens; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"no Ray cluster answers at {address}: give HOST:PORT of its head, such as 10.0.0.1:6379.")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster answers at {address} ({error}); give HOST:PORT of its head.") from None


def lets_in(address: str, mode: str) -> bool:
    """Whether the cluster answers a client in the token mode `mode`: `disabled` shows no token."""
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
            f"what listens at {address} does not answer as Ray does; give HOST:PORT of its head."
        ) from None
    return probe.stdout.strip().endswith("open")


def local_address() -> str:
    """The address of the cluster that runs on this machine. Raises InputError where there is none."""
    code = "from ray._private.services import canonicalize_bootstrap_address as f; print(f('auto') or '')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    address = (found.stdout.strip().splitlines() or [""])[-1]
    if not address:
        raise InputError("no Ray cluster runs on this machine; start one, or give --address HOST:PORT.")
    return address
