"""Which addresses lead to the public internet, and so may be called where somebody else names the host.

An address is public where IANA's special-purpose registries do not take it out of global use. Forms that carry an IPv4
address in an IPv6 one (mapped, NAT64) count as that address; tunnels that do (6to4, Teredo) are refused, as nobody can
tell where they end.
"""

import ipaddress
from typing import Final

# What `is_global` of the running Python may not know, or counts as global: multicast it does.
SPECIAL: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: metadata services of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # Teredo, ORCHID and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Tell whether an address, as a resolver gives it, is one of the public internet; false where it is no address."""
    try:
        given = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if "%" in address:  # of one link
        return False
    if isinstance(given, ipaddress.IPv6Address):
        if given.ipv4_mapped is not None:
            return is_public(str(given.ipv4_mapped))
        if given in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(given) & 0xFFFFFFFF)))
        if given not in GLOBAL_UNICAST:
            return False
    return given.is_global and not any(given in network for network in SPECIAL if network.version == given.version)
