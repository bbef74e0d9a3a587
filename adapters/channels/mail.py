"""The mail channel: a mail for each notice, by SMTP with TLS (RFC 5321; STARTTLS: RFC 3207, or RFC 8314).

TLS protects the way to the first server only; from there on a mail lies and travels as its servers please.
So the channel has a ceiling: of a notice that is marked above it, the mail says only that it waits at the
node.  The mark is in the subject and on top of the text, as TLP 2.0 asks.

The Message-ID is made from the delivery's id: a repeat is recognisable, and many servers drop it themselves.
Every recipient must be taken, or none is served.

What a server says before DATA is about us, our addresses, or the server: it is tried again, whatever its
code.  Only what it answers to DATA or to the mail itself can make a dead letter.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import aiosmtplib

from adapters.channels import LIVE_ALONE, ChannelRefused, ChannelUnavailable, Item
from adapters.channels.folder import page_of
from broker.core.model import Status, Tlp
from schemas.rendering import render_page, text, view

STEP_SECONDS = 20.0
TAKING_SECONDS = 600.0
"""For the answer to the mail itself (RFC 5321, 4.5.3.2.6): whoever asks again too early has it there twice.
The channel's own `timeout_seconds` may be shorter."""
IDLE_SECONDS = 20.0
"""A connection that lay idle for longer is not trusted to be there still."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in, and as whom."""

    host: str
    port: int
    context: ssl.SSLContext
    implicit: bool = False
    username: str | None = None
    password: str | None = None


class MailChannel:
    """Mails deliveries.

    Args:
        server: Where mail is handed in.
        sender: From whom.
        recipients: To whom.
        ceiling: The highest mark whose content may be mailed.
        language: What text and page show first.
        statuses: What is taken.
        name: The name in receipts.
    """

    def __init__(
        self,
        server: MailServer,
        sender: str,
        recipients: Sequence[str],
        *,
        ceiling: Tlp = Tlp.GREEN,
        language: str = "en",
        statuses: frozenset[Status] = LIVE_ALONE,
        name: str = "mail",
    ) -> None:
        self.name = name
        self.statuses = statuses
        self._server = server
        self._sender = sender
        self._recipients = recipients
        self._ceiling = ceiling
        self._language = language
        self._smtp: aiosmtplib.SMTP | None = None
        self._used_at = 0.0

    async def deliver(self, item: Item) -> None:
        """Return when the server has taken the mail for every recipient.

        Raises:
            ChannelUnavailable: The server is out of reach, or not ready for it.
            ChannelRefused: It will not take this one.
        """
        mail = self.mail(item)
        try:
            smtp = await self._opened()
            await smtp.mail(self._sender, timeout=STEP_SECONDS)
            for recipient in self._recipients:
                await smtp.rcpt(recipient, timeout=STEP_SECONDS)
            await smtp.data(mail.as_bytes(policy=SMTP), timeout=TAKING_SECONDS)
        except aiosmtplib.SMTPResponseException as error:
            await self.close()
            # The library says -1 of what is no answer of SMTP.
            answer = f"smtp-{error.code}" if error.code > 0 else "bad-answer"
            if 500 <= error.code < 600 and isinstance(error, aiosmtplib.SMTPDataError):
                raise ChannelRefused(f"answered {error.code}", field=self.name, answer=answer) from None
            raise ChannelUnavailable(f"answered {error.code}", field=self.name, answer=answer) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            await self.close()
            raise ChannelUnavailable(
                f"out of reach: {type(error).__name__}", field=self.name, answer="unreachable"
            ) from None
        self._used_at = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Close the connection; the next delivery opens another."""
        if self._smtp is not None:
            smtp, self._smtp = self._smtp, None
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await smtp.quit()
            smtp.close()

    async def check(self) -> str:
        """Say that the server lets us in; nothing is mailed.

        Raises:
            ChannelUnavailable: It does not.
        """
        try:
            smtp = await self._opened()
            await smtp.noop(timeout=STEP_SECONDS)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise ChannelUnavailable(f"does not let us in: {type(error).__name__}", field=self.name) from None
        finally:
            await self.close()
        return f"{self._server.host}:{self._server.port} lets us in, over TLS; nothing was mailed"

    async def _opened(self) -> aiosmtplib.SMTP:
        idle = asyncio.get_running_loop().time() - self._used_at
        # Many a server hangs up after a mail: that is no failure of the next.
        if self._smtp is not None and (idle > IDLE_SECONDS or not self._smtp.is_connected):
            await self.close()
        if self._smtp is None:
            server = self._server
            smtp = aiosmtplib.SMTP(
                hostname=server.host,
                port=server.port,
                use_tls=server.implicit,
                # Without TLS nothing is said: a server that offers none is refused.
                start_tls=not server.implicit,
                tls_context=server.context,
                timeout=STEP_SECONDS,
            )
            await smtp.connect()
            self._smtp = smtp
            if server.username is not None and server.password is not None:
                await smtp.login(server.username, server.password)
        return self._smtp

    def mail(self, item: Item) -> EmailMessage:
        """Return the mail for a delivery."""
        header = item.notice.header
        mark = f"TLP:{header.tlp.name.replace('_', '+')}"
        exercise = "" if header.status is Status.ACTUAL else f"[{header.status.name}] "
        domain = self._sender.rpartition("@")[2]
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._recipients)
        mail["Date"] = format_datetime(datetime.fromtimestamp(item.head.decided_at / 1000, UTC))
        mail["Message-ID"] = f"<{item.id.hex()}@halong.{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Halong-Delivery"] = item.id.hex()
        if header.tlp > self._ceiling:
            mail["Subject"] = f"[Halong] {exercise}{mark}: a notice waits"
            mail.set_content(
                f"{mark}\n\nA notice waits at your node; its mark does not allow its content in a mail.\n\n"
                f"  delivery   {item.id.hex()}\n"
                f"  number     {item.head.sequence} of lane {item.head.lane}\n\n"
                "Open it there: halong feed\n"
            )
            return mail
        page = page_of(item)
        mail["Subject"] = f"[Halong] {exercise}{mark} {item.notice.reference.removeprefix('halong:')}"
        mail.set_content(f"{mark}\n\n{text(view(page, self._language))}\n")
        mail.add_attachment(render_page(page, self._language), subtype="html", filename="notice.html")
        return mail
