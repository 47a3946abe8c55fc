"""Where a webhook of ours may go: an https address whose every IP address is public, connected to as it was looked at.

A name is resolved once per request, all its addresses are judged, and one of them is what gets connected to: a second
look-up could answer otherwise. Networks in WEBHOOK_TARGETS_ALLOWED are exempt, plain http and any port included.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from domain.errors import Rejected, TryLater

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS = (443, 8443)
URL_LENGTH_MAX = 2048

#: IANA's special-purpose registries, and what clouds answer at. What else Python does not call global is refused too.
_REFUSED_4 = tuple(
    ipaddress.IPv4Network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # a public address by which machines on Azure reach their host
    )
)
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
#: Transition ways lead through strangers to an IPv4 address of the sender's choice; the others are nobody's.
_REFUSED_6 = tuple(
    ipaddress.IPv6Network(each)
    for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48")
)
#: An IPv4 address as networks without IPv4 spell it: judged as that address.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in parts, as far as it can be judged without looking up its host."""

    scheme: str
    #: Lower case and ASCII; an IPv6 address without brackets.
    host: str
    port: int
    #: Path and query, as they are sent.
    path: str

    @property
    def url(self) -> str:
        """The whole, spelt one way."""
        return f"{self.scheme}://{self.host_header}{self.path}"

    @property
    def host_header(self) -> str:
        """Host and, where it is not the scheme's own, port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    def pinned(self, address: Address) -> str:
        """The URL that connects to this address and no other."""
        host = f"[{address}]" if address.version == 6 else str(address)
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_target(url: str) -> Target:
    """A URL in parts. Raises Rejected, naming `url`, for one that no webhook may be sent to wherever it leads."""
    if len(url) > URL_LENGTH_MAX:
        raise _refused(f"is longer than {URL_LENGTH_MAX} characters")
    # What is split here and what is sent must be the same: nothing that one program drops and another keeps.
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _refused("holds spaces, backslashes or characters outside ASCII; write them as %xx, or xn-- in a name")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("cannot be read as a URL") from None
    if parts.scheme not in ("https", "http"):
        raise _refused("does not begin with https://")
    if parts.username is not None or parts.password is not None:
        raise _refused("holds a user or password; requests are signed, verify the signature instead")
    if parts.fragment or url.endswith("#"):
        raise _refused("holds a fragment (#...), which is never sent")
    if port == 0 or not parts.hostname:
        raise _refused("names no host, or port 0")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, _host(parts.hostname), port or (443 if parts.scheme == "https" else 80), path)


def _host(host: str) -> str:
    """Names, and IP addresses in their one usual spelling: 0x7f.1, 2130706433 and 0177.0.0.1 are 127.0.0.1 to some."""
    if "%" in host:
        raise _refused("holds a % in its host")
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise _refused("holds an IPv6 address that cannot be read") from None
    name = host.removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise _refused("ends in a number without being an IPv4 address such as 203.0.113.7") from None
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused("names a host that cannot be")
    return name


def check_addresses(target: Target, found: Sequence[Address], allowed: Sequence[Network]) -> None:
    """Raise Rejected, naming `url`, unless a webhook may go to every address the host has."""
    if all(_is_in(address, allowed) for address in found):
        return
    if not all(is_public(address) or _is_in(address, allowed) for address in found):
        # Not which: whoever may register an endpoint is not thereby told about the network here.
        raise _refused(
            "leads to an address that is not public; to reach it, name its network in WEBHOOK_TARGETS_ALLOWED"
        )
    if target.scheme != "https":
        raise _refused("does not begin with https://")
    if target.port not in PORTS:
        raise _refused(f"names port {target.port}; only {' and '.join(map(str, PORTS))} are used")


def is_public(address: Address) -> bool:
    """Whether it is an ordinary address on the internet: not private, local, shared, multicast, reserved, metadata."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _REFUSED_4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global and address in _GLOBAL_6 and not any(address in network for network in _REFUSED_6)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain.version == network.version and plain in network for network in networks)


def look_up(target: Target) -> list[Address]:
    """Every address of the host, in the order to try them; waits for the resolver. Raises TryLater without one."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TryLater("its host name leads to no address") from None
    # Without the zone: an address that needs one is local.
    return list(dict.fromkeys(ipaddress.ip_address(str(place[4][0]).partition("%")[0]) for place in found))


def check_target(url: str, allowed: Sequence[Network]) -> str:
    """The URL in its one spelling, if a webhook may go there as names resolve now. Raises Rejected, naming `url`."""
    target = parse_target(url)
    try:
        found = look_up(target)
    except TryLater:
        raise _refused("names a host that leads to no address; check the name") from None
    check_addresses(target, found, allowed)
    return target.url


def _refused(why: str) -> Rejected:
    return Rejected(f"the address {why}", "url")
