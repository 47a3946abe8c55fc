"""Send one delivery: signed by the Standard Webhooks scheme, to an address that was looked at, and no further.

No redirect is followed, no proxy asked, and nothing of the answer is read but its status: what an endpoint says is no
business of ours, and must not show anyone what lies behind an address. Connections are not kept: one to an IP address
that several names share would carry the next name's request without its certificate having been seen.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx
from standardwebhooks import Webhook

from domain.errors import Rejected, TryLater
from infra.outgoing.deliveries import Claimed
from infra.outgoing.targets import Address, Network, Target, check_addresses, look_up, parse_target

#: For the whole of it: looking the name up, connecting, sending and the answer's head.
TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 4.0
#: Of a host with several addresses, so many are tried.
ADDRESSES_MAX = 3
GONE = 410


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one attempt."""

    #: None: it never came to an answer.
    status: int | None
    #: What was wrong; None: it was taken.
    reason: str | None = None


class Sender:
    """Sends deliveries within one event loop; any number at a time."""

    def __init__(self, allowed: Sequence[Network], trust: ssl.SSLContext, *, timeout_s: float = TIMEOUT_S) -> None:
        """`trust` says whose certificates are believed."""
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            verify=trust,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Let go of what is open."""
        await self._client.aclose()

    async def send(self, delivery: Claimed, now: datetime) -> Sent:
        """Try once. Never raises for what the other side does."""
        try:
            async with asyncio.timeout(self._timeout_s):
                target = parse_target(delivery.url)
                found = await asyncio.to_thread(look_up, target)
                check_addresses(target, found, self._allowed)
                status = await self._post(target, found[:ADDRESSES_MAX], delivery, now)
        except TimeoutError:
            return Sent(None, f"no answer within {self._timeout_s:g} s")
        except (Rejected, TryLater) as error:
            return Sent(None, str(error))
        except httpx.HTTPError as error:
            return Sent(None, f"could not be reached: {_kind(error)}")
        if 200 <= status < 300:
            return Sent(status)
        redirected = "; redirects are not followed, register the address it leads to" if 300 <= status < 400 else ""
        return Sent(status, f"answered {status}{redirected}")

    async def _post(self, target: Target, addresses: Sequence[Address], delivery: Claimed, now: datetime) -> int:
        """The answer's status, from the first of the addresses that takes a connection."""
        for address in addresses[:-1]:
            try:
                return await self._post_to(address, target, delivery, now)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(addresses[-1], target, delivery, now)

    async def _post_to(self, address: Address, target: Target, delivery: Claimed, now: datetime) -> int:
        assert delivery.payload is not None
        request = self._client.build_request(
            "POST",
            target.pinned(address),
            content=delivery.payload.encode(),
            headers={"host": target.host_header, **signed_headers(delivery, now)},
            extensions={"sni_hostname": target.host},
        )
        response = await self._client.send(request, stream=True)
        await response.aclose()
        return response.status_code


def signed_headers(delivery: Claimed, now: datetime) -> dict[str, str]:
    """What a receiver needs to verify and to recognise a delivery; `now` is in UTC.

    A signature for each secret, between spaces: the scheme has a receiver try them all.
    """
    assert delivery.payload is not None
    signatures = [Webhook(secret).sign(delivery.key, now, delivery.payload) for secret in delivery.secrets]
    return {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "product-attribution-webhooks",
        "webhook-id": delivery.key,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _kind(error: httpx.HTTPError) -> str:
    """What went wrong in our words: an error's own may quote what the other side sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return "no secure connection came about"
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx.ConnectTimeout():
            return "the connection was not accepted in time"
        case httpx.ConnectError():
            return "the connection was refused"
        case httpx.TimeoutException():
            return "no answer in time"
    return "the connection broke, or what came back is not HTTP"
