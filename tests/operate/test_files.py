"""What Grafana, Prometheus, systemd and Docker are handed is whole; the manual knows each alert and event."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.grafana.dashboards import texts
from deploy.kafka.cluster import VERSION
from tests.operate.queries import DASHBOARDS, dashboards, metrics, queries, rules, selectors

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy/systemd").iterdir())
MANUAL = (ROOT / "docs/operate.md").read_text()


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings have."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- dashboards and alerts ------------------------------------------------------------------------------


def test_the_dashboards_are_what_the_program_beside_them_writes() -> None:
    assert {path.name: path.read_text() for path in DASHBOARDS} == texts()


def test_every_dashboard_has_its_source_chosen_and_no_two_panels_in_one_place() -> None:
    for dashboard in dashboards():
        variables = {each["name"]: each["type"] for each in dashboard["templating"]["list"]}
        assert variables["datasource"] == "datasource"
        taken: set[tuple[int, int]] = set()
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert not cells & taken, panel["title"]
            taken |= cells
            assert panel["datasource"]["uid"] == "${datasource}"


def test_every_query_is_one_and_asks_for_something_of_ours() -> None:
    for where, query in queries():
        assert list(selectors(query)), where
    assert len(metrics()) > 40
    assert all(name.startswith(("halong_", "process_")) for name in metrics())


def test_every_alert_says_what_it_is_and_has_its_place_in_the_manual() -> None:
    known = anchors(MANUAL)
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert re.fullmatch(r"\d+[mhd]", rule["for"])
        said = rule["annotations"]
        assert said["summary"]
        assert said["description"]
        assert not said["summary"].endswith(".")
        page, _, anchor = said["runbook"].partition("#")
        assert page == "docs/operate.md"
        assert anchor in known


def test_the_manual_has_no_section_for_an_alert_that_is_not_there() -> None:
    described = set(re.findall(r"^### (Halong\w+)$", MANUAL, re.MULTILINE))

    assert described == {rule["alert"] for rule in rules()}
    for name in described:
        section = MANUAL.split(f"### {name}\n")[1].split("\n### ")[0]
        assert "*Look at:*" in section
        assert "*Do:*" in section


# --- the log's lines --------------------------------------------------------------------------------------


def events() -> Iterator[str]:
    """Every event that a line of code names."""
    called = re.compile(
        r'(?:log_line|_events|structlog\.get_logger\(\))\.\w+\(\s*(?:record\.levelno,\s*)?"([a-z.-]+)"'
        r'|\bline\(\s*"([a-z.-]+)"|\.sound\(\s*"([a-z.-]+)"'
    )
    for folder in ("broker", "adapters"):
        for path in (ROOT / folder).rglob("*.py"):
            for found in called.findall(path.read_text()):
                yield "".join(found)


def test_the_manual_lists_exactly_the_events_that_can_be_logged() -> None:
    table = MANUAL.split("## The log's lines")[1].split("\n## ")[0]
    described = set(re.findall(r"^\| `([a-z.-]+)` \|", table, re.MULTILINE))

    assert set(events()) - described == set(), "events that the manual does not know"
    assert described - set(events()) == set(), "events that nothing logs"


# --- units and containers -----------------------------------------------------------------------------------


def unit(path: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]  # names of units are told apart by case
    found.read(path)
    return found


@pytest.mark.parametrize(
    "path", [each for each in UNITS if each.suffix == ".service"], ids=lambda path: path.name
)
def test_no_service_may_do_more_than_it_needs(path: Path) -> None:
    service = unit(path)["Service"]

    for setting in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictNamespaces", "LockPersonality"):
        assert service[setting] == "yes", setting
    assert service["ProtectSystem"] == "strict"
    assert service["UMask"] == "0077"
    assert service["CapabilityBoundingSet"] == ""
    assert service["User"] != "root"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_every_unit(tmp_path: Path) -> None:
    # Programs are where an operator installs them; here only their being there is looked at.
    for path in UNITS:
        name = path.name.replace("@.", "@hub.")
        (tmp_path / name).write_text(path.read_text().replace("/opt/halong/bin/halong", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_containers_of_compose_fit_together() -> None:
    compose = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())
    services = compose["services"]

    for name, service in services.items():
        for other in service.get("depends_on", {}):
            assert other in services, name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (ROOT / "deploy/compose" / source).exists(), volume
    assert services["kafka"]["image"] == f"apache/kafka:{VERSION}"
    build = services["hub"]["build"]
    assert (ROOT / "deploy/compose" / build["context"] / build["dockerfile"]).is_file()
    for source in re.findall(
        r"^COPY (?!--from)(.+) \S+$", (ROOT / build["dockerfile"]).read_text(), re.MULTILINE
    ):
        assert all((ROOT / each).exists() for each in source.split()), source
