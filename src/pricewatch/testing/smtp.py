"""A real SMTP server on a free loopback port that can be told to refuse, to stumble and to die."""

from __future__ import annotations

import asyncio
import socket
import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class MailSink:
    """Keeps what it accepted. `rcpt` and `data` hold replies given once each, before anything is accepted."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.accepted: list[bytes] = []
        self.recipients: list[str] = []
        self.rcpt: list[str] = []
        self.data: list[str] = []
        self.mail: list[str] = []
        self.logins: list[str] = []
        self.connections = 0
        self.deaths = 0
        """How many times to die, from now on, once the whole message has come in."""
        self.arrived = asyncio.Event()
        self._tls = tls
        self._login = login
        self._server: asyncio.Server | None = None
        self._sessions: set[SMTP] = set()

    @property
    def messages(self) -> list[EmailMessage]:
        """What was accepted, parsed."""
        parsed = [message_from_bytes(content, policy=default) for content in self.accepted]
        return [message for message in parsed if isinstance(message, EmailMessage)]

    async def start(self) -> None:
        """Listen; may be started again after a `stop`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Away at once: open connections are cut."""
        if self._server is not None:
            self._server.close()
            for session in self._sessions:
                _cut(session)
            await asyncio.sleep(0)
            await self._server.wait_closed()
            self._server = None

    async def wait_for(self, count: int) -> None:
        """Until `count` mails have been accepted."""
        while len(self.accepted) < count:
            self.arrived.clear()
            await self.arrived.wait()

    def _session(self) -> SMTP:
        self.connections += 1
        session = SMTP(
            self,
            loop=asyncio.get_running_loop(),
            hostname="localhost",
            tls_context=self._tls,
            require_starttls=self._tls is not None,
            authenticator=self._authenticate if self._login else None,
            auth_required=self._login is not None and self._tls is not None,
            auth_require_tls=self._tls is not None,
        )
        self._sessions.add(session)
        return session

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        _ = server, session, envelope, mechanism
        if isinstance(data, LoginPassword):
            given = (data.login.decode(), data.password.decode())
            self.logins.append(given[0])
            return AuthResult(success=given == self._login, handled=False)
        return AuthResult(success=False, handled=False)

    async def handle_MAIL(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """`MAIL FROM`."""
        _ = server, session
        if self.mail:
            return self.mail.pop(0)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """`RCPT TO`."""
        _ = server, session, options
        if self.rcpt:
            return self.rcpt.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """The whole message has come in."""
        _ = session
        if self.deaths:
            self.deaths -= 1
            _cut(server)
            return "451 dying"
        if self.data:
            return self.data.pop(0)
        self.accepted.append(envelope.original_content or b"")
        self.recipients.extend(envelope.rcpt_tos)
        self.arrived.set()
        return f"250 queued as {len(self.accepted)}"


def _cut(session: SMTP) -> None:
    if isinstance(session.transport, asyncio.WriteTransport):
        session.transport.abort()
