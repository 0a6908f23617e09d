from __future__ import annotations

from ipaddress import ip_network

import pytest

from pricewatch.accounts.reach import Reach
from pricewatch.domain.errors import Invalid

PUBLIC = Reach()
HOME = Reach(http=True, networks=(ip_network("127.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")))


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org",
        "https://hooks.example.org/",
        "https://hooks.example.org/a/b%20c?x=1&y=[2]~!$'()*+,;=:@_-.",
        "https://hooks.example.org?x=1",
        "https://hooks.example.org:443/a",
        "https://hooks.example.org:8443/a",
        "https://hooks.example.org:65535/a",
        "https://xn--bcher-kva.example/",
        "https://0x7f.example.org/",
        "https://1.example.org/",
    ],
)
def test_plain_urls_of_public_names_are_fine(url: str) -> None:
    PUBLIC.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.org",
        "ftp://hooks.example.org/",
        "HTTPS://hooks.example.org/",
        "http://hooks.example.org/",
        "https://",
        "https:///path",
        "https://ann@hooks.example.org/",
        "https://ann:pass@hooks.example.org/",
        "https://hooks.example.org@127.0.0.1/",
        "https://hooks.example.org\\@127.0.0.1/",
        "https://hooks.example.org#@127.0.0.1/",
        "https://hooks.example.org/a#b",
        "https://hooks.example.org/a b",
        "https://hooks.example.org/\r\nHost: x",
        "https://hooks.example.org/\n",
        "https://hooks.example.org/ä",
        "https://bücher.example/",
        "https://hooks%2eexample.org/",
        "https://hooks.example.org:0/",
        "https://hooks.example.org:22/",
        "https://hooks.example.org:25/",
        "https://hooks.example.org:1023/",
        "https://hooks.example.org:65536/",
        "https://hooks.example.org:/",
        "https://hooks.example.org:443:443/",
        "https://hooks..example.org/",
        "https://hooks.example.org./",
        "https://-hooks.example.org/",
        "https://hooks-.example.org/",
        "https://" + "a" * 64 + ".example.org/",
        "https://hooks.example.org/" + "a" * 2_000,
        # addresses, however they are written
        "https://127.0.0.1/",
        "https://93.184.216.34/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://127.0.0.0x1/",
        "https://1.2.3.0X/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[2606:4700::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[12345]/",
        # names of the house
        "https://localhost/",
        "https://metadata/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://db.localhost/",
        "https://nas.home.arpa/",
    ],
)
def test_everything_else_is_refused_with_a_reason(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        PUBLIC.check(url)
    assert refused.value.field == "url"
    assert len(refused.value.problem) > 10


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/hook",
        "https://10.1.2.3/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fd00:1::5]:9000/",
        "http://localhost:8080/",
        "http://bot.lan/",
    ],
)
def test_the_operators_networks_may_be_named(url: str) -> None:
    HOME.check(url)


@pytest.mark.parametrize("url", ["http://10.2.0.1/", "http://[fd01::5]/", "http://2130706433/", "http://0x7f.1/"])
def test_other_addresses_still_may_not(url: str) -> None:
    with pytest.raises(Invalid):
        HOME.check(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.254",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "192.88.99.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:4136:e378::1",
        "2001:db8::1",
        "100::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "4000::1",
        "not an address",
        "0x7f.1",
        "2130706433",
        "127.1",
    ],
)
def test_no_address_inside_is_connected_to(address: str) -> None:
    assert not PUBLIC.allows(address)


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700:4700::1111", "2a00:1450::1"],
)
def test_public_addresses_are(address: str) -> None:
    assert PUBLIC.allows(address)


def test_the_operators_networks_are() -> None:
    assert [HOME.allows(one) for one in ("127.0.0.1", "::ffff:10.1.0.9", "fd00:1::1")] == [True] * 3
    assert [HOME.allows(one) for one in ("10.2.0.1", "169.254.169.254", "::1", "fd02::1")] == [False] * 4
