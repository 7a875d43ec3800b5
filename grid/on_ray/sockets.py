"""Where the processes of a Ray on this machine listen: whoever reaches one of its ports can run code as this user."""

from ipaddress import ip_address

import psutil


def open_ports() -> list[tuple[str, int]]:
    """Addresses and ports beyond loopback on which this process and its children listen.

    A process that ends meanwhile, or that may not be looked at, is left out.
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
    """For IPv4, IPv6, and IPv4 written as IPv6, which Python 3.11 does not see through."""
    ip = ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback
