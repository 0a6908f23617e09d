"""What an operator may set about deliveries, mail and webhooks."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from pricewatch.accounts.reach import Reach

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
"""The mail addresses we send to and from: plain, no quoting, no comments, nothing a header could trip over."""


class EmailSettings(BaseModel):
    """The SMTP server mail goes out through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="", description="SMTP server; empty: no mail goes out, deliveries wait in the outbox")
    port: int = Field(default=587, ge=1, le=65535, description="Its port: 587 for starttls, 465 for implicit")
    tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls",
        description="How the connection is encrypted; `none` only without credentials or on loopback",
    )
    ca_file: Path | None = Field(default=None, description="PEM file of certificate authorities to trust instead")
    username: str = Field(default="", description="SMTP login; empty: none")
    password: SecretStr = Field(default=SecretStr(""), description="SMTP password; never sent in clear")
    sender: str = Field(default="pricewatch@localhost", description="Address mail comes from")
    sender_name: str = Field(default="pricewatch", max_length=100, description="Name shown beside the address")
    hello: str = Field(default="", description="Name given in EHLO; empty: the sender's domain")
    timeout: float = Field(default=20.0, gt=0, description="Seconds to wait for each answer of the server")
    idle_limit: float = Field(default=15.0, ge=0, description="Seconds an unused connection is kept for reuse")
    delayed_after: float = Field(default=300.0, gt=0, description="Seconds in the outbox after which a mail says so")

    @property
    def domain(self) -> str:
        """The right half of every Message-ID."""
        return self.sender.rpartition("@")[2]

    @field_validator("sender")
    @classmethod
    def _sender_is_plain(cls, sender: str) -> str:
        if not ADDRESS.fullmatch(sender):
            raise ValueError(f"{sender!r} is not a plain mail address; write for example 'alerts@example.org'")
        return sender

    @model_validator(mode="after")
    def _credentials_never_in_clear(self) -> Self:
        has_password = bool(self.password.get_secret_value())
        if has_password != bool(self.username):
            raise ValueError("username and password belong together: give both or neither")
        if self.tls == "none" and self.username and not _is_loopback(self.host):
            raise ValueError(
                f"tls = 'none' would send the password to {self.host} in clear: use 'starttls' or 'implicit'"
            )
        return self


class WebhookSettings(BaseModel):
    """How signals are sent to people's own servers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    http: bool = Field(
        default=False,
        description="Allow URLs with http://, whose signals travel in clear; for tests and closed networks",
    )
    networks: tuple[str, ...] = Field(
        default=(),
        description="Networks webhooks may reach though they are not public, like `10.1.0.0/16`; hosts may then be "
        "given by such an address or by a local name",
    )
    ca_file: Path | None = Field(default=None, description="PEM file of certificate authorities to trust instead")
    concurrency: int = Field(default=32, ge=1, le=512, description="Requests on their way at once, to all endpoints")
    each: int = Field(default=2, ge=1, le=2, description="Requests on their way at once to one endpoint")
    connect_timeout: float = Field(default=5.0, gt=0, description="Seconds to find and reach an endpoint")
    timeout: float = Field(
        default=15.0,
        gt=0,
        description="Seconds until an endpoint must have answered; never more than half of delivery.attempt_timeout",
    )

    @property
    def reach(self) -> Reach:
        """Where they may go."""
        return Reach(http=self.http, networks=tuple(ipaddress.ip_network(one) for one in self.networks))

    @field_validator("networks")
    @classmethod
    def _networks_are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for one in networks:
            try:
                ipaddress.ip_network(one)
            except ValueError as error:
                raise ValueError(f"{one!r} is no network ({error}); write for example '10.1.0.0/16'") from error
        return networks


class DeliverySettings(BaseModel):
    """How the outbox is worked off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: EmailSettings = Field(default=EmailSettings(), description="The mail channel")
    webhook: WebhookSettings = Field(default=WebhookSettings(), description="The webhook channel")
    poll_interval: float = Field(default=1.0, gt=0, description="Seconds between looks at the outbox without a wake-up")
    concurrency: int = Field(default=4, ge=1, le=64, description="Mails on their way at once")
    attempt_timeout: float = Field(default=60.0, gt=0, description="Seconds one attempt may take in all")
    lease: float = Field(
        default=120.0, gt=0, description="Seconds a claimed delivery is ours; must exceed attempt_timeout"
    )
    drain: float = Field(default=5.0, ge=0, description="Seconds attempts under way may still take after a stop")
    retry_first: float = Field(default=5.0, gt=0, description="Seconds before the second attempt; doubles each time")
    retry_cap: float = Field(default=1800.0, gt=0, description="Longest pause between attempts, in seconds")
    retry_away: float = Field(
        default=60.0, gt=0, description="Longest pause in seconds while the other side cannot be reached at all"
    )
    retry_for: float = Field(default=86_400.0, gt=0, description="Seconds after which a delivery becomes a dead letter")

    @model_validator(mode="after")
    def _lease_outlasts_attempt(self) -> Self:
        if self.lease <= self.attempt_timeout:
            raise ValueError(
                f"lease ({self.lease} s) must exceed attempt_timeout ({self.attempt_timeout} s): "
                "else two workers send the same delivery"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
