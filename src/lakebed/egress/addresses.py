"""Which addresses of the internet may be called for users; pure.

IANA's registries of special-purpose addresses (RFC 6890), link-local names of clouds, and every
form of IPv6 that has an IPv4 address in it, which would lead around the list of IPv4.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host, "unspecified"
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; metadata of Alibaba Cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # metadata of Azure, in the midst of public addresses
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocols; metadata of Oracle Cloud
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")  # all that is assigned to the internet
_NOT_PUBLIC_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocols: Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4: IPv4 inside
        "3fff::/20",
    )
)


def is_public(address: str) -> bool:
    """Whether an address, as a resolver gives it, belongs to the public internet.

    Not what is private, loopback, link-local, shared, multicast, reserved or unspecified, nor IPv4
    within IPv6 (mapped, compatible, 6to4, NAT64, Teredo), nor any with a zone.
    """
    found = _parsed(address)
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_4)
    if found is None or found not in _PUBLIC_6:
        return False
    return not any(found in network for network in _NOT_PUBLIC_6)


def is_listed(address: str, networks: Sequence[Network]) -> bool:
    """Whether one of these networks has an address in the form that it is written in."""
    found = _parsed(address)
    return found is not None and any(found in network for network in networks)


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks such as `10.0.0.0/8`; a single address is one too."""
    return tuple(ip_network(text, strict=False) for text in texts)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.scope_id is not None:
        return None
    return found
