"""Where webhooks to others may go: what is refused when an endpoint is registered, and again whenever one is sent."""

import ipaddress
import socket

import pytest

from domain.errors import Rejected, TryLater
from infra.outgoing.targets import check_addresses, check_target, is_public, look_up, parse_target

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def addresses(*texts: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """IP addresses as a resolver finds them."""
    return [ipaddress.ip_address(each) for each in texts]


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.31.0.1"),
        *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
        *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "100.100.100.200", "168.63.129.16"),
        *("::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::127.0.0.1"),
        *("fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001::1", "2001:db8::1", "2002:7f00:1::"),
        *("64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1", "3fff::1", "5f00::1", "4000::1"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    """Private, loopback, link-local, shared, multicast, reserved and metadata addresses are none, however spelt."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001::1", "64:ff9b::101:101"]
)
def test_public_addresses_are_taken(address: str) -> None:
    """Ordinary addresses on the internet are public, in the spelling of networks without IPv4 too."""
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1/", "not public"),
        ("https://[::1]/", "not public"),
        ("https://[::ffff:7f00:1]/", "not public"),
        ("https://localhost/", "not public"),
        ("https://localhost./", "not public"),
        ("https://LOCALHOST:8443/", "not public"),
        ("https://169.254.169.254/latest/meta-data", "not public"),
        ("https://0x7f000001/", "ends in a number"),
        ("https://0x7f.1/", "ends in a number"),
        ("https://2130706433/", "ends in a number"),
        ("https://0177.0.0.1/", "ends in a number"),
        ("https://127.1/", "ends in a number"),
        ("https://0/", "ends in a number"),
        ("https://127.0.0.1.:443/", "not public"),
        ("https://[fe80::1%25eth0]/", "holds a %"),
        ("https://exam%70le.com/", "holds a %"),
        ("https://[::1", "cannot be read"),
        ("https://①②⑦.0.0.1/", "outside ASCII"),
        ("https://example.com\\@127.0.0.1/", "backslashes"),
        ("https://exa mple.com/", "spaces"),
        ("https://example.com/\r\nX-Injected: 1", "spaces"),
        ("https://example.com/\tx", "spaces"),
        ("https://user:secret@example.com/", "user or password"),
        ("https://user@example.com/", "user or password"),
        ("https://@example.com/", "user or password"),
        ("https://example.com/#there", "fragment"),
        ("https:///path", "no host"),
        ("https://example.com:0/", "port 0"),
        ("https://example.com:99999/", "cannot be read"),
        ("https://exa_mple-.com/", "cannot be"),
        ("https://a..b/", "cannot be"),
        ("https://" + "a" * 64 + ".com/", "cannot be"),
        ("ftp://example.com/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("gopher://example.com/", "https://"),
        ("example.com/path", "https://"),
        ("https://example.com/" + "a" * 2048, "longer"),
        ("https://nobody-is-here.invalid/", "leads to no address"),
    ],
)
def test_what_no_webhook_may_be_sent_to(url: str, why: str) -> None:
    """Each is refused when it is registered, naming the field and the reason, and without saying what lies there."""
    with pytest.raises(Rejected, match=why) as caught:
        check_target(url, ())
    assert caught.value.field == "url"
    assert "secret" not in str(caught.value)


def test_one_address_that_is_not_public_is_one_too_many() -> None:
    """A name with a public and a private address is refused: which one would be connected to is not left to chance."""
    target = parse_target("https://example.com/")
    check_addresses(target, addresses("93.184.215.14", "2606:4700::1"), ())
    with pytest.raises(Rejected, match="not public"):
        check_addresses(target, addresses("93.184.215.14", "10.0.0.1"), ())
    with pytest.raises(Rejected, match="not public"):
        check_addresses(target, addresses("::ffff:10.0.0.1"), ())


@pytest.mark.parametrize(
    ("url", "why"),
    [("http://example.com/", "https"), ("https://example.com:22/", "port 22"), ("https://example.com:8080/", "8080")],
)
def test_public_addresses_are_reached_by_https_at_its_ports_alone(url: str, why: str) -> None:
    """Plain http, and ports that other programs listen at, are refused for public addresses."""
    public = addresses("93.184.215.14")
    with pytest.raises(Rejected, match=why):
        check_addresses(parse_target(url), public, ())
    check_addresses(parse_target("https://example.com:8443/"), public, ())


def test_a_network_that_is_named_is_exempt_and_no_other() -> None:
    """With its network named, an address is reached at any port and over http; those beside it stay refused."""
    assert check_target("http://127.0.0.1:9999/x?y=1", LOOPBACK) == "http://127.0.0.1:9999/x?y=1"
    check_addresses(parse_target("http://inside/"), addresses("::ffff:127.0.0.1"), LOOPBACK)
    with pytest.raises(Rejected, match="not public"):
        check_addresses(parse_target("http://inside/"), addresses("127.0.0.1", "10.0.0.1"), LOOPBACK)
    with pytest.raises(Rejected, match="https"):
        check_addresses(parse_target("http://inside/"), addresses("127.0.0.1", "93.184.215.14"), LOOPBACK)


def test_a_url_has_one_spelling() -> None:
    """Capitals of a host, a usual port and a missing path do not make another address."""
    target = parse_target("HTTPS://Example.COM:443?b=%20c")
    assert (target.url, target.host_header) == ("https://example.com/?b=%20c", "example.com")
    pinned = target.pinned(ipaddress.ip_address("93.184.215.14"))
    assert pinned == "https://93.184.215.14:443/?b=%20c"
    other = parse_target("https://[2606:4700::01]:8443/a")
    assert other.url == "https://[2606:4700::1]:8443/a"
    assert other.pinned(ipaddress.ip_address("2606:4700::1")) == "https://[2606:4700::1]:8443/a"


def test_looking_up_finds_every_address() -> None:
    """A name is looked up to plain addresses; one that leads nowhere may lead somewhere later."""
    found = look_up(parse_target("http://localhost/"))
    expected = {place[4][0] for place in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    assert {str(address) for address in found} == expected
    with pytest.raises(TryLater, match="no address"):
        look_up(parse_target("https://nobody-is-here.invalid/"))
