"""Mail by SMTP: connections are reused, each failure is named by what to do about it."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

import aiosmtplib
from aiosmtplib import SMTP

from pricewatch.delivery.channels.base import Away, Letter, Manners
from pricewatch.delivery.channels.mail import compose
from pricewatch.delivery.figures import printable
from pricewatch.delivery.settings import EmailSettings
from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.ports.outbox import Delivery

_SERVICE_CLOSING = 421


class EmailChannel:
    """As many connections as mails are on their way at once; each is kept a while for the next mail."""

    manners = Manners()

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._idle: list[tuple[SMTP, float]] = []
        self._tls: ssl.SSLContext | None = None

    def render(self, delivery: Delivery, *, now: int) -> Letter:
        """The whole message. Raises `Refused` for an address no mail can go to."""
        return compose(delivery, self._settings, now=now)

    def held(self) -> tuple[str, ...]:
        """Mail goes through one server: there is nothing to hold apart."""
        return ()

    async def send(self, letter: Letter) -> str:
        """Hand the mail over; returns the server's words after DATA."""
        client = self._reusable() or await self._connected()
        try:
            reply = await _transaction(client, self._settings.sender, letter)
        except BaseException as error:
            if isinstance(error, Away) or not isinstance(error, Unavailable | Refused):
                client.close()  # nothing is known of the connection's state
            else:
                self._keep(client)
            raise
        self._keep(client)
        return reply

    async def rest(self) -> None:
        """Take leave of connections nobody has used for `idle_limit`."""
        now = asyncio.get_running_loop().time()
        old = [client for client, since in self._idle if now - since >= self._settings.idle_limit]
        self._idle = [(client, since) for client, since in self._idle if client not in old]
        for client in old:
            await self._leave(client)

    async def close(self) -> None:
        """Take leave of every idle connection."""
        idle, self._idle = self._idle, []
        for client, _ in idle:
            await self._leave(client)

    def _reusable(self) -> SMTP | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            client, since = self._idle.pop()
            if client.is_connected and now - since < self._settings.idle_limit:
                return client
            client.close()
        return None

    def _keep(self, client: SMTP) -> None:
        if client.is_connected:
            self._idle.append((client, asyncio.get_running_loop().time()))

    async def _connected(self) -> SMTP:
        settings = self._settings
        client = SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username or None,
            password=settings.password.get_secret_value() or None,
            local_hostname=settings.hello or settings.domain,
            timeout=settings.timeout,
            use_tls=settings.tls == "implicit",
            start_tls=settings.tls == "starttls",
            tls_context=await self._context(),
        )
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            raise Away(f"cannot use {settings.host}:{settings.port}: {_words(error)}") from error
        except BaseException:
            client.close()
            raise
        return client

    async def _context(self) -> ssl.SSLContext | None:
        if self._settings.tls == "none":
            return None
        if self._tls is None:
            try:
                self._tls = await asyncio.to_thread(ssl.create_default_context, cafile=self._settings.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise Away(f"cannot read ca_file {self._settings.ca_file}: {_words(error)}") from error
        return self._tls

    async def _leave(self, client: SMTP) -> None:
        with suppress(aiosmtplib.SMTPException, OSError):  # the farewell is a courtesy
            await client.quit(timeout=min(self._settings.timeout, 2.0))
        client.close()


async def _transaction(client: SMTP, sender: str, letter: Letter) -> str:
    """One mail over an open connection."""
    try:
        _, reply = await client.sendmail(sender, [letter.target], letter.body)
    except aiosmtplib.SMTPRecipientsRefused as error:
        refusal = error.recipients[0]
        raise _verdict(refusal.code, refusal.message) from error
    except aiosmtplib.SMTPSenderRefused as error:
        # Our own address is not welcome: the operator's matter, not this mail's.
        raise Away(f"sender {sender} refused: {error.code} {_words(error)}") from error
    except aiosmtplib.SMTPResponseException as error:
        raise _verdict(error.code, error.message) from error
    except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError) as error:
        raise Away(f"connection lost: {_words(error)}") from error
    except aiosmtplib.SMTPException as error:
        raise Unavailable(_words(error)) from error
    except ValueError as error:
        raise Refused(f"cannot be sent: {_words(error)}") from error
    return printable(reply, 200)


def _verdict(code: int, words: str) -> Unavailable | Refused:
    text = f"{code} {printable(words, 200)}"
    if code == _SERVICE_CLOSING:
        return Away(text)
    return Refused(text) if 500 <= code < 600 else Unavailable(text)


def _words(error: BaseException) -> str:
    return printable(str(getattr(error, "message", "") or error) or type(error).__name__, 200)
