"""Listening ports of a local Ray: anyone who reaches one can run code as this user."""

from ipaddress import ip_address

import psutil


def open_ports() -> list[tuple[str, int]]:
    """Addresses and ports beyond loopback on which this process and its children listen.

    Processes that end meanwhile or cannot be inspected are skipped.
    """
    me, found = psutil.Process(), []
    for process in (me, *me.children(recursive=True)):
        try:
            connections = process.net_connections(kind="inet")
        except psutil.Error:
            continue
        found += [c.laddr for c in connections if c.status == psutil.CONN_LISTEN and not is_loopback(c.laddr.ip)]
    return [(address.ip, address.port) for address in found]


def is_loopback(address: str) -> bool:
    """Whether an address is loopback: IPv4, IPv6, or IPv4-mapped IPv6, which Python 3.11 does not handle."""
    ip = ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback
