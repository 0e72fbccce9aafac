"""Who is told when a night is stopped or fails: a webhook and mail, with short patience; no night is lost for it."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path

from assets.core.catalogue.models import Email, Notify, Occasion, Webhook
from assets.core.catalogue.problems import Problems
from assets.core.catalogue.read_checks import read_checks
from assets.core.failure import no_room
from assets.core.instants import format_instant
from assets.gate.stop import Stopped
from assets.progress import tell

PATIENCE = 5  # seconds: a night waits for no messenger
_LONGEST = 2900  # characters of a message; Slack takes hardly more


@dataclass(frozen=True, slots=True)
class News:
    occasion: Occasion
    title: str  # one line
    text: str  # all of it


def tell_of(workspace: Path, as_of: datetime, failure: BaseException) -> None:
    """Tell people of a night that this process ran; who can't be reached is a warning."""
    text = getattr(failure, "description", None) or str(failure)
    for problem in tell_people(workspace, news_of(format_instant(as_of), isinstance(failure, Stopped), text)):
        tell("warning", problem)


def news_of(night: str, is_stop: bool, text: str) -> News:
    did = "was stopped by the gate" if is_stop else "failed"
    return News("stop" if is_stop else "failure", f"Tallyhouse: the night of {night} {did}", no_room(text) or text)


def tell_people(workspace: Path, news: News) -> list[str]:
    """Send the news to whoever checks.yaml names; a sentence for each that could not be reached."""
    _, notify = read_checks(workspace, Problems())  # of a file with mistakes, what can be read
    if news.occasion not in notify.on:
        return []
    return [problem for send in _messengers(notify) if (problem := _tried(send, news))]


def _messengers(notify: Notify) -> Iterator[tuple[str, Callable[[News], None]]]:
    if notify.webhook is not None:
        webhook = notify.webhook
        yield "the webhook", lambda news: _post(webhook, news)
    if notify.email is not None:
        email = notify.email
        yield f"mail by {email.host}", lambda news: _mail(email, news)


def _tried(messenger: tuple[str, Callable[[News], None]], news: News) -> str | None:
    name, send = messenger
    try:
        send(news)
    except Exception as error:  # whatever it is, the night has ended as it has
        return f"{name} could not be told of it ({_plain(error)}); see `notify` in catalog/checks.yaml."
    return None


def _plain(error: Exception) -> str:
    """An error without the address, which is a secret."""
    reason = getattr(error, "reason", None)
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _post(webhook: Webhook, news: News) -> None:
    """As Slack takes it, and many who imitate it."""
    address = _secret(webhook.url_env, webhook.url_file)
    if not address.startswith(("https://", "http://")):
        raise ValueError("not an address")
    shown = news.text if len(news.text) <= _LONGEST else news.text[:_LONGEST] + "\n…"
    body = {
        "text": news.title,
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": news.title[:150]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": f"```{shown}```"}},
        ],
    }
    request = urllib.request.Request(  # noqa: S310 - the address was looked at
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE):  # noqa: S310
        pass


def _mail(email: Email, news: News) -> None:
    message = EmailMessage()
    message["Subject"] = news.title
    message["From"] = email.sender
    message["To"] = ", ".join(email.to)
    message.set_content(news.text)
    with _server(email) as server:
        if email.user is not None:
            server.login(email.user, _secret(email.password_env, email.password_file))
        server.send_message(message)


@contextmanager
def _server(email: Email) -> Iterator[smtplib.SMTP]:
    if email.security == "tls":
        with smtplib.SMTP_SSL(email.host, email.port, timeout=PATIENCE, context=ssl.create_default_context()) as server:
            yield server
        return
    with smtplib.SMTP(email.host, email.port, timeout=PATIENCE) as server:
        if email.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        yield server


def _secret(variable: str | None, file: str | None) -> str:
    if variable is not None:
        return os.environ[variable].strip()
    return Path(file or "").read_text().strip()
