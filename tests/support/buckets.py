"""An S3 server of moto's on loopback, in a process of its own, and a line to it that can be cut."""

import json
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3

from tests.support.processes import wait_until

BUCKET = "bucket"


def client(service: str, port: int, **credentials: str) -> Any:
    """Amazon's own library, as an independent look at the server."""
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", **credentials)


class User:
    """One who may do `actions` and nothing else, once the server checks its users."""

    def __init__(self, iam: Any, name: str, *actions: str) -> None:
        self.iam, self.name = iam, name
        iam.create_user(UserName=name)
        self.allow(*actions)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.environment = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def allow(self, *actions: str) -> None:
        """These, and no others any more."""
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        self.iam.put_user_policy(UserName=self.name, PolicyName="all", PolicyDocument=json.dumps(policy))


def check_users(port: int) -> None:
    """From here on the server does so."""
    tell(port, "reset-auth", "0")


def start_over(port: int) -> None:
    """One empty bucket, no users, and nobody checked; needs credentials in the environment, and takes any."""
    tell(port, "reset-auth", "inf")
    tell(port, "reset")
    client("s3", port).create_bucket(Bucket=BUCKET)


def tell(port: int, what: str, content: str = "") -> None:
    """A request to moto itself."""
    url = f"http://127.0.0.1:{port}/moto-api/{what}"
    urllib.request.urlopen(urllib.request.Request(url, content.encode(), {"Content-Type": "text/plain"})).close()


@contextmanager
def s3_server(log: Path) -> Iterator[int]:
    """The port of a server without buckets."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with log.open("w") as out:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait_until(lambda: answers(port))
        yield port
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def address(port: int, prefix: str = "runs/out", bucket: str = BUCKET) -> str:
    return f"s3://{bucket}/{prefix}?scheme=http&endpoint_override=127.0.0.1:{port}"


def objects(port: int) -> dict[str, bytes]:
    """Every object of the bucket, without the empty ones that stand for folders."""
    s3 = client("s3", port)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys if not key.endswith("/")}


class Line:
    """A TCP proxy to `target_port` that lets `allowance` bytes through to it, then cuts every connection."""

    def __init__(self, target_port: int, allowance: float) -> None:
        self.target_port, self.allowance = target_port, allowance
        self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target_port))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink, sink is far), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if counted:
                    self.allowance -= len(data)
                    if self.allowance < 0:
                        self.cuts += 1
                        break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
