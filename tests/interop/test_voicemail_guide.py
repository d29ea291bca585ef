"""docs/guides/voicemail.md with a real phone and a real SMTP server: its settings and its commands as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from contextlib import closing
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from bench.rig.processes import free_port, wait_until
from bench.rig.server import OFFICE, REPOSITORY, VOIPAT, Server
from media.wav import read_wav, read_wav_file
from tests.interop.baresip import Baresip
from tests.interop.tones import dominant_frequency

GUIDE = (REPOSITORY / "docs" / "guides" / "voicemail.md").read_text()


class Inbox:
    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 taken"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def config_of(directory: Path, smtp_port: int) -> Path:
    """The example with the guide's mailbox and server, which is on this machine and asks for no password."""
    mailbox, server = blocks("toml")
    lines = [line for line in server.splitlines() if not line.startswith(("username", "password", "security", "host"))]
    mail = "\n".join([*lines, 'host = "127.0.0.1"', f"port = {smtp_port}", 'security = "none"', ""])
    (extension,) = (line for line in mailbox.splitlines() if line.startswith("1002"))
    text = re.sub(r"^1002 = .*$", extension, OFFICE.read_text(), count=1, flags=re.MULTILINE)
    path = directory / "office.toml"
    path.write_text(text.replace("[[tenant]]", f"{mail}\n[[tenant]]", 1))
    return path


def test_a_message_arrives_by_email_and_the_commands_of_the_guide_find_it(tmp_path: Path) -> None:
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    server = Server(tmp_path / "server", config=config_of(tmp_path, controller.port))
    try:
        phone = Baresip(
            *(tmp_path / "six",), user="1006", password="pass-1006", server=server.address,
            port=free_port(run=5), frequency=1500.0,
        )  # fmt: skip
        with closing(phone) as six:
            six.wait_registered()
            six.command("dial", "sip:1002@office.test")
            six.wait_for("CALL_ESTABLISHED")
            wait_until(
                lambda: list(six.directory.glob("dump-*-dec.wav")) and any(six.heard()), 8, "the greeting is heard"
            )
            six.press("#")
            wait_until(lambda: spoken(server) >= 2.0, 10, "a message of two seconds")
            six.command("hangup")
            six.wait_for("CALL_CLOSED")
        letter = wait_until(lambda: inbox.letters[-1] if inbox.letters else None, 15, "the e-mail is there")
        assert letter["To"] == "two@example.com" and "1006" in letter["Subject"]
        (part,) = letter.iter_attachments()
        assert abs(dominant_frequency(read_wav(part.get_content()).samples) - 1500) < 20
        (message,) = server.rows("voicemail", "list", "--mailbox", "1002")
        for line in "".join(blocks("console")).splitlines():
            run(server, line.removeprefix("$ ").replace(" ID", f" {message['id']}"), tmp_path)
        assert abs(dominant_frequency(read_wav_file(tmp_path / "message.wav").samples) - 1500) < 20
        assert server.rows("voicemail", "list") == []
        rows = [(row["actor"], row["action"], row["object"]) for row in server.rows("audit")]
        assert rows == [("operator", f"message-{what}", message["id"]) for what in ("deleted", "exported")]
        wait_until(lambda: server.process.output().count("logger=pbx.audit") == 2, 10, "the log says both")
        assert server.stats()["mail_sent"] == 1
    finally:
        server.close()
        controller.stop()


def spoken(server: Server) -> float:
    """About how many seconds of the message are on the disk."""
    return sum(path.stat().st_size for path in (server.data / "voicemail").rglob("*.sealed")) / 16_000


def run(server: Server, line: str, directory: Path) -> None:
    program, *arguments = shlex.split(line)
    assert program == "voipat"
    command = [str(VOIPAT), *arguments, "--data", str(server.data)]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=30, env=os.environ)
    assert done.returncode == 0, f"{line}: {done.stderr}"
