"""An address that somebody else names is called only where it is public, in whatever form it comes."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.runtime.public_address import is_public

# Of IANA's special-purpose registries and RFC 5771, 4193, 3879, 3056: written out here once more, on purpose.
NOT_PUBLIC_V4 = (
    ("this network", "0.0.0.0/8"),
    ("private", "10.0.0.0/8"),
    ("private", "172.16.0.0/12"),
    ("private", "192.168.0.0/16"),
    ("carrier-grade NAT", "100.64.0.0/10"),
    ("loopback", "127.0.0.0/8"),
    ("link-local, metadata", "169.254.0.0/16"),
    ("documentation", "192.0.2.0/24"),
    ("documentation", "198.51.100.0/24"),
    ("documentation", "203.0.113.0/24"),
    ("benchmarks", "198.18.0.0/15"),
    ("multicast", "224.0.0.0/4"),
    ("reserved and broadcast", "240.0.0.0/4"),
)
NOT_PUBLIC_V6 = (
    ("loopback and unspecified", "::/127"),
    ("IPv4-compatible", "::/96"),
    ("unique local", "fc00::/7"),
    ("link-local", "fe80::/10"),
    ("site-local", "fec0::/10"),
    ("multicast", "ff00::/8"),
    ("Teredo", "2001::/32"),
    ("6to4", "2002::/16"),
    ("documentation", "2001:db8::/32"),
    ("local NAT64", "64:ff9b:1::/48"),
)
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450::1")


def within(cidr: str) -> st.SearchStrategy[str]:
    network = ipaddress.ip_network(cidr)
    return st.ip_addresses(network=network).map(str)


def in_v6(prefix: str, v4: str) -> str:
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(ipaddress.IPv4Address(v4))))


v4_inside = st.sampled_from([cidr for _, cidr in NOT_PUBLIC_V4]).flatmap(within)
v6_inside = st.sampled_from([cidr for _, cidr in NOT_PUBLIC_V6]).flatmap(within)


@given(v4_inside)
def test_no_special_ipv4_address_is_public_in_any_form(address: str) -> None:
    forms = [address, in_v6("::ffff:0:0", address), in_v6("64:ff9b::", address), in_v6("::", address)]
    assert [form for form in forms if is_public(form)] == []


@given(v6_inside)
def test_no_special_ipv6_address_is_public(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4).map(str))
def test_an_ipv4_address_is_as_public_mapped_into_ipv6_as_by_itself(address: str) -> None:
    assert is_public(address) is is_public(in_v6("::ffff:0:0", address)) is is_public(in_v6("64:ff9b::", address))


@given(st.ip_addresses())
def test_what_python_says_is_not_global_is_not_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_public(str(address)):
        assert address.is_global or address in ipaddress.ip_network("64:ff9b::/96")
        assert not address.is_multicast


@pytest.mark.parametrize("address", PUBLIC)
def test_an_ordinary_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "fe80::1%eth0", "2606:4700::1%1", "1.1.1", "0x7f.1", "1.1.1.1\n"])
def test_what_is_no_plain_address_is_not_public(text: str) -> None:
    assert not is_public(text)
