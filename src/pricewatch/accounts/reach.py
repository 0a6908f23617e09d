"""Where webhooks may go: public hosts by name, and what the operator allows beside them."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import msgspec

from pricewatch.domain.errors import Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_URL = 2_000
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?][!$-;=?-\[\]_a-z~]*)?"
)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NUMERIC = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_HOME = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "arpa")
_PUBLIC_6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_TUNNELS = (IPv6Network("2002::/16"), IPv6Network("2001::/32"))
_SPECIAL_4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
"""Protocols' own addresses, which some versions of Python call public."""
_LOWEST_FREE_PORT = 1_024
_USUAL_PORTS = frozenset({80, 443})


class Reach(msgspec.Struct, frozen=True):
    """What a webhook's URL may name and what its host may resolve to."""

    http: bool = False
    """Whether the URL may be unencrypted."""
    networks: tuple[Network, ...] = ()
    """Where webhooks may go though it is no public place; their hosts may be given by address and by local name."""

    def check(self, url: str) -> None:
        """Raises `Invalid` for what is no plain URL of a host that may be public; nothing is resolved."""
        found = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
        if found is None:
            raise _wrong(
                "is not a plain URL: write https://, the host's name (in ASCII), perhaps a port, and the path; no user "
                f"and no fragment, at most {LONGEST_URL} characters, anything odd in the path percent-encoded"
            )
        if found["scheme"] == "http" and not self.http:
            raise _wrong("is not encrypted; write https://")
        port = found["port"]
        if port is not None and not self._may_port(int(port)):
            raise _wrong(f"has port {port}; use 443, 80 or one from {_LOWEST_FREE_PORT} to 65535")
        self._check_host(found["host"])

    def allows(self, text: str) -> bool:
        """Whether this address may be connected to: a public one, or one of the operator's networks."""
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return self._is_home(_plain(address)) or _is_public(_plain(address))

    def _may_port(self, port: int) -> bool:
        return port in _USUAL_PORTS or _LOWEST_FREE_PORT <= port <= 65_535

    def _check_host(self, host: str) -> None:
        literal = _literal(host)
        if literal is not None:
            if not self._is_home(_plain(literal)):
                raise _wrong(f"names its host by the address {host}; write the host's name")
            return
        labels = host.split(".")
        if not all(map(_LABEL.fullmatch, labels)) or _NUMERIC.fullmatch(labels[-1]):
            raise _wrong(f"has {host!r} where a host's name belongs")
        lower = host.lower()
        local = len(labels) == 1 or any(lower.endswith(f".{name}") for name in _HOME)
        if local and not self.networks:
            raise _wrong(f"names {host!r}, which is no public host")

    def _is_home(self, address: Address) -> bool:
        return any(address in network for network in self.networks if network.version == address.version)


def _wrong(problem: str) -> Invalid:
    return Invalid("url", problem)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in special for special in _SPECIAL_4)
    return address in _PUBLIC_6 and not any(address in tunnel for tunnel in _TUNNELS)
