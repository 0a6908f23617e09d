"""A delivery as a mail message: a pure function of delivery, settings and now."""

from __future__ import annotations

import functools
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from pricewatch.delivery.channels.base import Letter
from pricewatch.delivery.figures import printable, span_text
from pricewatch.delivery.settings import ADDRESS, EmailSettings
from pricewatch.delivery.wording import evidence_lines, facts, headline
from pricewatch.domain.errors import Refused
from pricewatch.domain.signal import Direction
from pricewatch.domain.time import SECOND, to_datetime
from pricewatch.ports.outbox import Delivery


class _Policy(EmailPolicy):
    """Leaves the subject on one line: folded just over 78 characters its first line is empty, longer ones lose spaces.

    Everything in it is a machine's name or a number, so it is ASCII, and short enough for any server.
    """

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() == "subject":
            return f"{name}: {value}{self.linesep}".encode("ascii", "replace")
        return super().fold_binary(name, value)


_POLICY = _Policy(linesep="\r\n")


def compose(delivery: Delivery, settings: EmailSettings, *, now: int) -> Letter:
    """The mail, ready for the wire. Raises `Refused` for an address no mail can go to."""
    target = _target(delivery.target)
    message = EmailMessage(policy=_POLICY)
    _address(message, delivery, settings, target, now)
    signal = delivery.signal
    delayed = _delay(delivery, settings, now)
    line = headline(signal, now=now)
    message["Subject"] = f"{line} [delayed {delayed}]" if delayed else line
    fields = {
        "headline": line,
        "facts": facts(signal),
        "evidence": [] if signal.direction is Direction.DIGEST else evidence_lines(signal.evidence),
        "delayed": delayed,
        "signal_id": str(signal.id),
    }
    message.set_content(_templates().get_template("signal.txt.j2").render(fields), cte="quoted-printable")
    html = _templates().get_template("signal.html.j2").render(fields)
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    return Letter(target, message.as_bytes())


def _address(message: EmailMessage, delivery: Delivery, settings: EmailSettings, target: str, now: int) -> None:
    name = printable(settings.sender_name, 100)
    message["From"] = Address(display_name=name, addr_spec=settings.sender)
    message["To"] = Address(addr_spec=target)
    message["Date"] = format_datetime(to_datetime(now))
    message["Message-ID"] = f"<{delivery.id}@{settings.domain}>"
    day = to_datetime(delivery.signal.at).strftime("%Y-%m-%d")
    thread = f"<{delivery.signal.rule_id}.{day}@{settings.domain}>"
    message["In-Reply-To"] = thread
    message["References"] = thread
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["X-Pricewatch-Signal"] = str(delivery.signal.id)


def _target(target: str) -> str:
    """The address with its domain in ASCII."""
    local, _, domain = target.rpartition("@")
    try:
        plain = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        plain = target
    if not ADDRESS.fullmatch(plain):
        raise Refused(f"{printable(target, 80)!r} is not an address mail can be sent to")
    return plain


def _delay(delivery: Delivery, settings: EmailSettings, now: int) -> str | None:
    waited = (now - delivery.queued) / SECOND
    return span_text(waited) if waited > settings.delayed_after else None


@functools.cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("pricewatch.delivery"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        auto_reload=False,
    )
