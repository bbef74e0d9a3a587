"""An operator who types the manual's commands, and a hub with two members to type them on."""

from __future__ import annotations

import re
import urllib.request
from dataclasses import replace
from pathlib import Path

from adapters.status import Snapshot, snapshot
from adapters.store import Store
from broker.demo.processes import Farm, free_port
from tests.networks import HUB, JP_VN, make
from tests.story.shell import Shell

ROOT = Path(__file__).parents[2]
SERVICES = ("halong hub --dir", "halong member --dir")
PASSPHRASE = "five words that nobody guesses\n"
PARCEL = """{
  "type": "drug-parcel", "countries": ["JP", "VN"], "subjects": ["hs:8471"],
  "notice": {"channel": "POST", "postal_item": "RN849807307VN"}
}"""


def section(name: str) -> list[str]:
    """The commands of one section of the manual."""
    page = (ROOT / "docs/operate.md").read_text()
    text = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


class Operator:
    """Types the manual's commands; a folder that is moved away is one whose machine is lost."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    def follows(self, name: str, vn: str = "vn") -> None:
        """Type what a section says, for another member than vn if one is named."""
        for line in (re.sub(r"\bvn\b", vn, each) for each in section(name)):
            if line.startswith(SERVICES):
                folder = line.split()[-1]
                if self._runs(folder):
                    continue
                self.shell.run(line)
            elif line.startswith("mkdir "):
                (self.shell.folder / line.split()[1]).mkdir(exist_ok=True)
            elif line.startswith("mv "):
                self._moves(*line.split()[1:])
            else:
                self.shell.until(lambda line=line: self.shell(line).code == 0)  # type: ignore[misc]

    def _moves(self, here: str, there: str) -> None:
        """Lose the machine of a folder that is moved away; of which files are laid aside, end the process."""
        name, inside, _ = here.partition("/")
        service = self.shell.farm.services[name]
        service.end() if inside else service.kill()
        for path in self.shell.folder.glob(here):
            path.rename(self.shell.folder / there / (path.name if inside else ""))

    def _runs(self, folder: str) -> bool:
        service = self.shell.farm.services.get(folder)
        return service is not None and service.pid is not None

    def publishes(self, count: int) -> None:
        """Have vn publish the parcel so often."""
        self.shell.ok("halong publish " + "parcel.json " * count + "--dir vn")

    def arrived(self, member: str = "jp") -> int:
        """Return how many deliveries a member has handed on."""
        return self.looks(member).received.get("delivered", 0)

    def looks(self, member: str) -> Snapshot:
        """Return how a member's node is, as its store tells it."""
        with Store.open_to_read(self.shell.folder / member / "node.db") as store:
            return snapshot(store)

    def scrapes(self, name: str) -> dict[str, str]:
        """Return the metrics of a process: each name, with the kind that it has."""
        log = (self.shell.folder / name / "output.txt").read_text()
        port = re.search(r"health 127\.0\.0\.1:(\d+)", log)
        assert port is not None
        with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))

    def loses(self, name: str) -> None:
        """Lose the machine of a folder."""
        self._moves(name, f"{name}.broken")


def network(folder: Path, farm: Farm, log: str = "sqlite:///log.db") -> Shell:
    """A hub, vn and jp under one agreement; nothing runs yet."""
    shell = Shell(folder, farm)
    make(folder, "vn", "jp", agreements=[JP_VN], hub=replace(HUB, port=free_port(), log=log))
    (folder / "parcel.json").write_text(PARCEL)
    (folder / "passphrase").write_text(PASSPHRASE)
    return shell
