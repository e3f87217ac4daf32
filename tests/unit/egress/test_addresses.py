"""Which addresses may be called for users."""

import pytest

from lakebed.egress.addresses import is_listed, is_public, networks_of

PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "169.253.255.255", "100.128.0.1", "223.255.255.255",
          "2606:4700::1111", "2a00:1450::1"]  # fmt: skip
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3",  # unspecified, this network
    "127.0.0.1", "127.255.255.254", "::1", "::",  # loopback
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1",  # private
    "169.254.169.254", "fe80::1", "fe80::1%eth0", "fec0::1",  # link-local, metadata of clouds
    "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254",  # metadata
    "198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1",
    "224.0.0.1", "239.255.255.255", "ff02::1", "240.0.0.1", "255.255.255.255",
    "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:7f00:1", "::7f00:1",  # IPv4 within IPv6
    "2002:7f00:1::", "2002:808:808::1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
    "2001:0:4136:e378::1", "192.88.99.1", "2001:20::1",  # Teredo, 6to4, ORCHID
    "100::1", "4000::1", "localhost", "", "1.1.1.1%eth0",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_may_be_called(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_nothing_else_may(address: str) -> None:
    assert not is_public(address)


def test_a_list_allows_addresses_in_the_form_that_it_has_alone() -> None:
    listed = networks_of(["127.0.0.1/32", "10.1.2.3/8", "fd00::/8", "192.168.0.7"])
    for address in ("127.0.0.1", "10.200.0.1", "fd12::1", "192.168.0.7"):
        assert is_listed(address, listed)
    for address in ("127.0.0.2", "::ffff:127.0.0.1", "::1", "192.168.0.8", "fd12::1%eth0", "x"):
        assert not is_listed(address, listed)
