"""What single channels promise on the wire: signatures that others can check, TLS, and what is not said."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller

from adapters.channels import Channel, ChannelRefused, ChannelUnavailable, Closes, Item
from adapters.channels.webhook import load_secrets, seconds_of, signed_headers
from adapters.configuration import MEMBER_FILE, load_node_config
from broker.core.model import Status, Tlp
from broker.demo.processes import free_port
from deploy.kafka.tls import make_certificates
from tests.counterparts import SECRET, Mail, Script, Web
from tests.nodes import TestNode
from tests.world import World, sighting

DOCS = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()


def blocks(language: str) -> list[str]:
    """The examples of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)


class Keeper:
    """A channel that keeps what it got."""

    name = "keeper"
    statuses = frozenset(Status)

    def __init__(self) -> None:
        self.items: list[Item] = []

    async def deliver(self, item: Item) -> None:
        self.items.append(item)


@pytest.fixture
async def items(tmp_path: Path) -> AsyncIterator[list[Item]]:
    """A notice marked AMBER, and one marked RED."""
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp", slots=["facts", "persons"], grant='tlp_max = "RED"')
    async with world:
        for tlp in (Tlp.AMBER, Tlp.RED):
            await world.publish("vn", sighting(place="Hai Phong", person="Ada"), tlp=tlp, addressees=("jp",))
        keeper = Keeper()
        node = TestNode(world, "jp", tmp_path, channels=[keeper])
        await node.receives()
        node.close()
        yield keeper.items


async def deliver(channel: Channel, item: Item) -> None:
    try:
        await channel.deliver(item)
    finally:
        if isinstance(channel, Closes):
            await channel.close()


# --- the page ------------------------------------------------------------------------------------------


def test_every_example_of_the_page_is_a_configuration_that_loads(tmp_path: Path) -> None:
    kinds = set()
    for number, example in enumerate(blocks("toml")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / MEMBER_FILE).write_text(f'member = "jp"\nnetwork = "n"\n{example}')
        kinds |= {each.__struct_config__.tag for each in load_node_config(folder).channels.values()}
    assert kinds == {"folder", "webhook", "mail", "sql", "kafka", "exec"}


def in_python(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    scope: dict[str, Any] = {}
    exec(blocks("python")[0], scope)
    return bool(scope["verify"](secret, headers, body))


def in_node(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    program = (
        blocks("js")[0]
        + "\nconst [secret, headers, body] = JSON.parse(require('fs').readFileSync(0));"
        + "\nconsole.log(verify(secret, headers, body));"
    )
    node = shutil.which("node")
    assert node is not None
    said = subprocess.run(
        [node, "-e", program],
        input=json.dumps([secret, dict(headers), body.decode()]),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return said.stdout.strip() == "true"


def test_the_pages_lines_check_a_signature_also_while_secrets_are_exchanged(tmp_path: Path) -> None:
    other = "whsec_" + "QUJD" * 10
    path = tmp_path / "secret"
    path.write_text(f"{other}\n{SECRET}\n")
    headers = signed_headers(load_secrets(path), "5a3f", 1_790_000_000, b'{"a":1}')
    checks = [in_python, *([in_node] if shutil.which("node") else [])]
    for check in checks:
        assert check(SECRET, headers, b'{"a":1}')
        assert check(other, headers, b'{"a":1}')
        assert not check("whsec_" + "QUJE" * 10, headers, b'{"a":1}')
        assert not check(SECRET, headers, b'{"a":2}')
        assert not check(SECRET, headers | {"webhook-timestamp": "1790000001"}, b'{"a":1}')
        assert not check(SECRET, headers | {"webhook-id": "5a40"}, b'{"a":1}')


def test_the_signature_is_that_of_the_specifications_own_example() -> None:
    """From github.com/standard-webhooks/standard-webhooks, libraries/python/tests."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


# --- webhook -------------------------------------------------------------------------------------------


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Web]:
    folder = tmp_path / "side"
    folder.mkdir()
    server = Web(folder)
    async with server.serving():
        yield server


@pytest.mark.sockets
async def test_a_post_is_signed_with_its_time_and_the_deliverys_id(items: list[Item], server: Web) -> None:
    await deliver(server.channel(), items[0])
    (posted,) = server.requests
    assert posted.headers["webhook-id"] == items[0].id.hex()
    assert in_python(SECRET, posted.headers, posted.body)
    assert posted.headers["Content-Type"] == "application/json"


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, None),
        (202, None),
        (400, ChannelRefused),
        (409, ChannelRefused),
        (410, ChannelRefused),
        (413, ChannelRefused),
        (422, ChannelRefused),
        (301, ChannelUnavailable),
        (401, ChannelUnavailable),
        (404, ChannelUnavailable),
        (408, ChannelUnavailable),
        (429, ChannelUnavailable),
        (500, ChannelUnavailable),
        (503, ChannelUnavailable),
    ],
)
async def test_answers_about_the_notice_are_final_and_all_others_are_not(
    items: list[Item], server: Web, status: int, outcome: type[Exception] | None
) -> None:
    server.answers.append(web.Response(status=status, headers={"Retry-After": "77", "Location": server.url}))
    if outcome is None:
        await deliver(server.channel(), items[0])
    else:
        with pytest.raises(outcome) as caught:
            await deliver(server.channel(), items[0])
        assert caught.value.answer == f"http-{status}"  # type: ignore[attr-defined]
        if isinstance(caught.value, ChannelUnavailable):
            assert caught.value.retry_after_seconds == 77
    assert len(server.requests) == 1, "a redirect was followed"


def test_retry_after_is_seconds_or_a_date() -> None:
    now = 1_445_412_480_000
    assert seconds_of("120", now) == 120
    assert seconds_of("Wed, 21 Oct 2015 07:28:30 GMT", now) == 30
    assert seconds_of("Wed, 21 Oct 2015 07:27:00 GMT", now) == 0
    assert [seconds_of(text, now) for text in (None, "soon", "-5", "")] == [0, 0, 0, 0]


@pytest.mark.sockets
async def test_a_server_whose_certificate_is_not_of_the_authority_gets_nothing(
    items: list[Item], server: Web, tmp_path: Path
) -> None:
    make_certificates(tmp_path / "other", ["server"])
    server.settings = server.settings.replace(
        str(server.folder / "tls" / "ca.pem"), str(tmp_path / "other" / "ca.pem")
    )
    with pytest.raises(ChannelUnavailable) as caught:
        await deliver(server.channel(), items[0])
    assert caught.value.answer == "certificate"
    server.settings = server.settings.replace("localhost", "127.0.0.2")
    with pytest.raises(ChannelUnavailable):
        await deliver(server.channel(), items[0])
    assert server.requests == []


@pytest.mark.sockets
async def test_mutual_tls_lets_in_whom_the_server_knows(items: list[Item], tmp_path: Path) -> None:
    server = Web(tmp_path)
    async with server.serving(mutual=True):
        with pytest.raises(ChannelUnavailable):
            await deliver(server.channel(), items[0])
        tls = tmp_path / "tls"
        mutual = f'certificate = "{tls / "client.pem"}"\nkey = "{tls / "client.key"}"\n'
        server.settings = re.sub(r"secret_file.*\n", mutual, server.settings)
        await deliver(server.channel(), items[0])
    (posted,) = server.requests
    assert "webhook-signature" not in posted.headers


# --- mail ----------------------------------------------------------------------------------------------


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Mail]:
    folder = tmp_path / "side"
    folder.mkdir()
    mail = Mail(folder)
    async with mail.serving():
        yield mail


@pytest.mark.sockets
async def test_above_the_ceiling_a_mail_says_only_that_a_notice_waits(items: list[Item], post: Mail) -> None:
    amber, red = items
    for item in items:
        await deliver(post.channel(), item)
    shown, hidden = post.mails
    assert shown["Subject"] == "[Halong] TLP:AMBER vn/asia-pacific/main/1"
    body = shown.get_body(("plain",))
    assert body is not None
    assert body.get_content().startswith("TLP:AMBER")
    assert "Ada" in body.get_content()
    (page,) = shown.iter_attachments()
    assert page.get_content_type() == "text/html"
    assert "Ada" in page.get_content()

    assert hidden["Subject"] == "[Halong] TLP:RED: a notice waits"
    everything = hidden.as_string()
    assert list(hidden.iter_attachments()) == []
    for said in ("Ada", "Hai Phong", "sighting", red.notice.reference):
        assert said not in everything
    assert red.id.hex() in everything
    assert amber.id.hex() in shown["Message-ID"]
    assert [mail["To"] for mail in post.mails] == ["desk@customs.example, night@customs.example"] * 2


@pytest.mark.sockets
async def test_if_one_of_the_recipients_is_refused_nobody_is_served(items: list[Item], post: Mail) -> None:
    async def handle_RCPT(_server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address.startswith("night"):
            return "550 no such desk"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    post.handle_RCPT = handle_RCPT  # type: ignore[attr-defined]
    # Whoever may be wrong about an address: it is not the notice.
    with pytest.raises(ChannelUnavailable) as caught:
        await deliver(post.channel(), items[0])
    assert caught.value.answer == "smtp-550"
    assert post.mails == []


@pytest.mark.sockets
async def test_a_wrong_password_is_not_the_notices_fault(items: list[Item], post: Mail) -> None:
    (post.folder / "mail.password").write_text("wrong\n")
    with pytest.raises(ChannelUnavailable) as caught:
        await deliver(post.channel(), items[0])
    assert caught.value.answer == "smtp-535"


@pytest.mark.sockets
async def test_a_mail_server_without_tls_or_with_another_certificate_gets_nothing(
    items: list[Item], post: Mail, tmp_path: Path
) -> None:
    make_certificates(tmp_path / "other", ["server"])
    right = post.settings
    post.settings = right.replace(str(post.folder / "tls" / "ca.pem"), str(tmp_path / "other" / "ca.pem"))
    with pytest.raises(ChannelUnavailable):
        await deliver(post.channel(), items[0])

    seen: list[Any] = []

    class Bare:
        async def handle_MAIL(self, *said: Any) -> str:  # noqa: N802
            seen.append(said)
            return "250 OK"

    port = free_port()
    bare = Controller(Bare(), hostname="127.0.0.1", port=port)
    bare.start()
    try:
        post.settings = re.sub(r"port = \d+", f"port = {port}", right)
        with pytest.raises(ChannelUnavailable):
            await deliver(post.channel(), items[0])
    finally:
        bare.stop()
    assert seen == []
    assert post.mails == []


@pytest.mark.sockets
async def test_implicit_tls_is_spoken_where_it_is_configured(items: list[Item], tmp_path: Path) -> None:
    tls = tmp_path / "tls"
    make_certificates(tls, ["server"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls / "server.pem", tls / "server.key")
    mail = Mail(tmp_path)
    port = free_port()
    server = Controller(mail, hostname="127.0.0.1", port=port, ssl_context=context)
    server.start()
    try:
        mail.settings = (
            f'host = "localhost"\nport = {port}\ntls = "implicit"\nauthority = "{tls / "ca.pem"}"\n'
            'sender = "halong@node.example"\nrecipients = ["desk@customs.example"]\n'
        )
        await deliver(mail.channel(), items[0])
    finally:
        server.stop()
    assert len(mail.mails) == 1


# --- exec ----------------------------------------------------------------------------------------------


@pytest.mark.sockets
async def test_a_commands_environment_routes_and_says_nothing(
    items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALONG_CANARY", "do not pass on")
    folder = tmp_path / "side"
    folder.mkdir()
    await Script(folder).channel().deliver(items[0])
    environment = (folder / "environment").read_text()
    assert f"HALONG_DELIVERY={items[0].id.hex()}\n" in environment
    assert "HALONG_TLP=AMBER\n" in environment
    for said in ("Ada", "Hai Phong", "do not pass on"):
        assert said not in environment


@pytest.mark.sockets
async def test_a_command_that_takes_too_long_is_killed_with_what_it_started(
    items: list[Item], tmp_path: Path
) -> None:
    script = tmp_path / "slow.sh"
    script.write_text("#!/bin/sh\nsleep 600 &\necho $! >child\necho $$ >leader\nwait\n")
    script.chmod(0o755)
    side = Script(tmp_path)
    side.settings = f'command = ["{script}"]\n'
    async with asyncio.TaskGroup() as group:
        running = group.create_task(side.channel().deliver(items[0]))
        async with asyncio.timeout(20):
            while not _has(tmp_path / "leader"):  # noqa: ASYNC110 - another process has no events
                await asyncio.sleep(0.01)
        running.cancel()
    for name in ("leader", "child"):
        pid = int((tmp_path / name).read_text())
        async with asyncio.timeout(20):
            while _runs(pid):  # noqa: ASYNC110 - another process has no events
                await asyncio.sleep(0.01)


def _has(path: Path) -> bool:
    return path.exists() and bool(path.read_text())


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Killed, and not yet waited for by whoever inherits it.
    return " Z " not in Path(f"/proc/{pid}/stat").read_text()
