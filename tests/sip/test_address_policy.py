"""One outbound-address policy for SIP, webhooks and media (TRK-13)."""

from ipaddress import ip_network

import pytest

from offhook.sip.address_policy import AddressPolicy

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "::1",
    "fe80::1",
    "fd00::1",
    "fec0::1",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
]
DISGUISED = ["::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::10.0.0.1", "64:ff9b:1::a00:1", "::127.0.0.1"]
NOBODY = [
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "0.1.2.3",
    "240.0.0.1",
    "::ffff:224.0.0.1",
    "x",
    "",
]


@pytest.mark.parametrize("address", NOBODY)
def test_what_is_no_single_host_is_refused_always(address: str) -> None:
    policy = AddressPolicy((ip_network("0.0.0.0/0"), ip_network("::/0")))
    assert policy.never(address)
    assert policy.refusal(address, named=True)
    assert policy.refusal(address)


@pytest.mark.parametrize("address", PRIVATE + DISGUISED)
def test_private_addresses_need_to_be_named_or_opened(address: str) -> None:
    assert "private address" in (AddressPolicy().refusal(address) or "")
    assert AddressPolicy().refusal(address, named=True) is None
    opened = AddressPolicy((ip_network("0.0.0.0/0"), ip_network("::/0")))
    assert opened.refusal(address) is None


def test_a_setting_opens_its_network_and_no_other() -> None:
    policy = AddressPolicy((ip_network("10.1.0.0/16"),))
    assert policy.refusal("10.1.2.3") is None
    assert policy.refusal("10.2.2.3") is not None
    assert policy.refusal("::ffff:10.1.2.3") is None


@pytest.mark.parametrize("address", ["198.41.0.4", "2001:500:2::c", "64:ff9b::198.41.0.4"])
def test_public_addresses_are_open(address: str) -> None:
    assert AddressPolicy().refusal(address) is None
