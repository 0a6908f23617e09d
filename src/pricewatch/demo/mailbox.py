"""A mail server on loopback whose mailbox can be read in the browser."""

from __future__ import annotations

import asyncio
import email
import email.policy
import html
from collections import deque
from email.message import EmailMessage

import msgspec
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

_CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; img-src data:"
_STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.5rem;border-bottom:1px solid #8884}
pre{white-space:pre-wrap}iframe{width:100%;height:34rem;border:1px solid #8884;border-radius:.5rem;background:#fff}
"""


class Mail(msgspec.Struct, frozen=True):
    """One mail as it arrived."""

    number: int
    recipients: tuple[str, ...]
    content: bytes

    def parsed(self) -> EmailMessage:
        """The message, by the modern policy."""
        message = email.message_from_bytes(self.content, policy=email.policy.default)
        if not isinstance(message, EmailMessage):
            raise TypeError("the default policy makes EmailMessage objects")
        return message


class Mailbox:
    """Takes every mail for everybody and keeps the newest ones."""

    def __init__(self, capacity: int = 1_000) -> None:
        self.mails: deque[Mail] = deque(maxlen=capacity)
        self.received = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Called by the mail server for each message."""
        _ = server, session
        content = envelope.content
        self.received += 1
        raw = content if isinstance(content, bytes) else str(content).encode()
        self.mails.append(Mail(self.received, tuple(envelope.rcpt_tos), raw))
        return "250 kept"

    async def start(self, host: str = "127.0.0.1") -> MailServer:
        """Listen for mail and serve the mailbox page, both on free ports."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, hostname="mailbox", loop=loop), host, 0)
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/{number:[0-9]+}", self._show)
        app.router.add_get("/{number:[0-9]+}/html", self._html)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, host, 0)
        await site.start()
        return MailServer(server, runner, host)

    async def _index(self, request: web.Request) -> web.Response:
        _ = request
        rows = "".join(
            f"<tr><td>{mail.number}</td><td><a href='/{mail.number}'>{html.escape(str(message['Subject']))}</a></td>"
            f"<td>{html.escape(', '.join(mail.recipients))}</td><td>{html.escape(str(message['Date']))}</td></tr>"
            for mail in reversed(self.mails)
            for message in (mail.parsed(),)
        )
        table = f"<table><tr><th>#</th><th>Subject</th><th>To</th><th>Date</th></tr>{rows}</table>"
        return _page("Mailbox", table if rows else "<p>No mail yet. Signals with the email channel arrive here.</p>")

    def _find(self, request: web.Request) -> Mail:
        number = int(request.match_info["number"])
        for mail in self.mails:
            if mail.number == number:
                return mail
        raise web.HTTPNotFound(text=f"there is no mail {number} in this mailbox")

    async def _show(self, request: web.Request) -> web.Response:
        mail = self._find(request)
        message = mail.parsed()
        text = message.get_body(("plain",))
        headers = "".join(f"{html.escape(name)}: {html.escape(str(value))}\n" for name, value in message.items())
        return _page(
            str(message["Subject"]),
            f"<p><a href='/'>Mailbox</a></p><iframe sandbox src='/{mail.number}/html' title='mail'></iframe>"
            f"<h2>Text</h2><pre>{html.escape(str(text.get_content()) if text else '')}</pre>"
            f"<h2>Headers</h2><pre>{headers}</pre>",
        )

    async def _html(self, request: web.Request) -> web.Response:
        body = self._find(request).parsed().get_body(("html", "plain"))
        return web.Response(
            text=str(body.get_content()) if body else "",
            content_type="text/html",
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"},
        )


class MailServer:
    """The two listening ends of a mailbox."""

    def __init__(self, smtp: asyncio.Server, page: web.AppRunner, host: str) -> None:
        self._smtp = smtp
        self._page = page
        self.smtp_port: int = smtp.sockets[0].getsockname()[1]
        self.url = f"http://{host}:{page.addresses[0][1]}/"

    async def stop(self) -> None:
        """Close both."""
        self._smtp.close()
        await self._page.cleanup()


def _page(title: str, body: str) -> web.Response:
    return web.Response(
        text=f"<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>{body}",
        content_type="text/html",
        headers={"Content-Security-Policy": _CSP},
    )
