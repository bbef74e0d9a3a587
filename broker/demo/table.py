"""The tables of the demo's day, the same ones for the same seed: what four offices export from their systems.

Everything in them is invented.  Declarations have the columns of the published table of synthetic
declarations that `deploy/examples/maps/declarations.toml` reads; some rows are as imperfect as real ones:
a country that is none, codes of a past edition, a container number that does not check.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from string import ascii_uppercase, digits

from stdnum import iso6346

SEED = 2026

DECLARATION_ROWS = 100
PARCEL_ROWS = {"vn": 30, "jp": 24}
WASTE_ROWS = 24
WASTE_PARTS = (16,)
TREND_ROWS = 12
TREND_PARTS = (4, 8)
"""Where a table ends and the next one of the day begins."""

FEEDBACK_ROWS = 16

Row = dict[str, str]

_PLACES: Mapping[str, Sequence[str]] = {
    "VN": ("VNSGN", "VNHAN", "VNHPH"),
    "JP": ("JPNRT", "JPKIX", "JPYOK"),
    "NL": ("NLRTM", "NLAMS"),
    "KR": ("KRICN", "KRPUS"),
    "CN": ("CNSHG", "CNCAN"),
    "SG": ("SGSIN",),
    "MY": ("MYPKG",),
    "TH": ("THBKK",),
    "DE": ("DEHAM",),
    "BE": ("BEANR",),
}
_PORTS = {
    "NL": "NLRTM",
    "BE": "BEANR",
    "DE": "DEHAM",
    "JP": "JPYOK",
    "VN": "VNHPH",
    "MY": "MYPKG",
    "TH": "THLCH",
}
_SUBSTANCES = (
    ("methamphetamine", "537-46-2", "CRYSTAL"),
    ("ketamine", "6740-88-1", "POWDER"),
    ("mdma", "42542-10-9", "TABLET"),
    ("cocaine", "50-36-2", "PASTE"),
    ("heroin", "561-27-3", "POWDER"),
    ("fentanyl", "437-38-7", "POWDER"),
    ("pseudoephedrine", "90-82-4", "TABLET"),
)
_GOODS = (
    ("391510", "plastic scrap"),
    ("611030", "sweaters"),
    ("847130", "used laptops"),
    ("850710", "car batteries"),
    ("732690", "steel parts"),
    ("300490", "vitamins"),
    ("210690", "tea extracts"),
    ("950300", "toy sets"),
    ("490199", "books"),
)
_PAST_CODES = ("940540", "852580", "854140")
"""In the Harmonized System of 2017, no longer in that of 2022."""

_FIRST = (
    "Red River",
    "Golden Lotus",
    "Delta",
    "North Quay",
    "Harbour",
    "Mekong",
    "Sakura",
    "Tulip",
    "Blue Crane",
    "Eastern",
)
_SECOND = ("Trading", "Plastics", "Logistics", "Recycling", "Foods", "Textiles", "Electronics", "Express")


def write_tables(folder: Path, seed: int = SEED) -> None:
    """Write the tables of all members below `folder`, one folder a member."""
    random = Random(seed)
    for member, name, rows in (
        ("vn", "declarations.csv", _declarations(random)),
        ("vn", "parcels.csv", _parcels(random, "VN", ("JP", "NL", "KR"), PARCEL_ROWS["vn"])),
        ("jp", "parcels.csv", _parcels(random, "JP", ("VN", "NL", "KR"), PARCEL_ROWS["jp"])),
        ("nl", "waste.csv", _waste(random)),
        ("rilo-ap", "trends.csv", _trends(random)),
    ):
        ends = {"waste.csv": WASTE_PARTS, "trends.csv": TREND_PARTS}.get(name, ())
        written = list(rows)
        for number, (start, end) in enumerate(pairwise((0, *ends, len(written))), 1):
            part = name if number == 1 else name.replace(".csv", f"-{number}.csv")
            write_csv(folder / member / part, written[start:end])


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write rows with equal columns, and a header line."""
    rows = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def feedback(member: str, references: Sequence[str], seed: int = SEED) -> Iterator[Row]:
    """Yield what came of the notices with these references, as an officer of `member` notes it down."""
    random = Random(f"{seed}/{member}")
    outcomes = (
        "HIT_SEIZED",
        "CHECKED_NO_FINDING",
        "HIT_SEIZED",
        "NOT_ARRIVED",
        "HIT_OTHER_OFFENCE",
        "SEEN_TOO_LATE",
    )
    for index, reference in enumerate(references):
        outcome = outcomes[index % len(outcomes)]
        hit = outcome.startswith("HIT")
        yield {
            "Case": f"{member.upper()}-F{index + 1:03d}",
            "Reference": reference,
            "Outcome": outcome,
            "Date": _day(random),
            "Country": "JP" if member == "jp" else "NL",
            "Kilograms": f"{random.uniform(0.2, 40):.3f}" if hit else "",
            "Used For": "SEIZURE" if outcome == "HIT_SEIZED" else "CHECK",
            "Usefulness": str(random.randint(3, 5) if hit else random.randint(0, 3)),
            "Note": "found where the notice said it would be" if hit else "",
        }


def _declarations(random: Random) -> Iterator[Row]:
    for index in range(DECLARATION_ROWS):
        fraud = index % 4 == 1
        code, _ = random.choice(_GOODS)
        if index % 20 == 5:
            code = _PAST_CODES[index // 20 % len(_PAST_CODES)]
        departure = random.choice(("JP", "NL", "CN", "KR", "JP", "NL"))
        if index == 49:
            departure = "ZZ"
        yield {
            "Declaration ID": f"{70000000 + index * 137}",
            "Date": _day(random),
            "Office ID": random.choice(("40", "20", "016")),
            "Process Type": "B",
            "Import Type": "11",
            "Import Use": "21",
            "Payment Type": random.choice(("11", "43")),
            "Mode of Transport": random.choice(("10", "40", "10", "50")),
            "Declarant ID": _code(random, 7),
            "Importer ID": _code(random, 7),
            "Seller ID": _code(random, 7) if random.random() > 0.1 else "",
            "Courier ID": _code(random, 6) if random.random() > 0.8 else "",
            "HS6 Code": code,
            "Country of Departure": departure,
            "Country of Origin": random.choice(("JP", "CN", "NL", "KR")),
            "Tax Rate": random.choice(("0.0", "6.5", "8.0", "13.0")),
            "Tax Type": random.choice(("A", "C", "FEU1")),
            "Country of Origin Indicator": random.choice("EGYB"),
            "Net Mass": str(random.choice((0.0, 10.0, 125.5, 980.0, 16300.0))) if index % 7 else "0.0",
            "Item Price": repr(random.randint(100, 99999) * 0.1),
            "Fraud": "1" if fraud else "0",
            "Critical Fraud": ("2" if index % 20 == 1 else "1") if fraud else "0",
        }


def _parcels(random: Random, origin: str, destinations: Sequence[str], count: int) -> Iterator[Row]:
    for index in range(count):
        post = index % 3 != 2
        substance, cas, form = _SUBSTANCES[index % len(_SUBSTANCES)]
        code, goods = random.choice(_GOODS)
        # The first one goes to the first destination: it is the notice that the demo shows in full.
        destination = destinations[index % len(destinations)]
        hit = index % 5 != 4
        yield {
            "Parcel": f"{origin}P{index + 1:04d}",
            "Seen": _day(random),
            "Channel": "POST" if post else "EXPRESS",
            "Item Number": _item_number(random, origin) if post else "",
            "House Waybill": "" if post else f"{random.randint(10**9, 10**10 - 1)}",
            "Operator": "" if post else _firm(random),
            "Sender": _firm(random),
            "Recipient": _firm(random),
            "From": origin,
            "From Place": random.choice(_PLACES[origin]),
            "To": destination,
            "To Place": _PLACES[destination][0],
            "HS6 Code": code,
            "Declared As": goods,
            "Declared Value": f"{random.randint(5, 400)}.00",
            "Kilograms": f"{random.uniform(0.4, 12):.3f}",
            "Substance": substance,
            "CAS": cas,
            "Form": form,
            "Found": f"{random.uniform(0.05, 3):.3f}",
            "Detection": random.choice(("XRAY", "DETECTOR_DOG", "RISK_PROFILE")),
            "Concealment": random.choice(("IN_GOODS", "FALSE_BOTTOM", "IN_PACKAGING")),
            "Action": random.choice(("SPECIFIC_CHECK", "CONTROLLED_DELIVERY_CONTACT_FIRST")),
            "Note": f"second parcel of this sender within {random.randint(3, 30)} days",
            "Hit": "yes" if hit else "no",
        }


def _waste(random: Random) -> Iterator[Row]:
    wastes = (
        ("Y48", "391510", "391590", "H12", "mixed plastic waste declared as sorted bales"),
        ("Y49", "847130", "854921", "H11", "broken screens and boards declared as used laptops"),
        ("Y31", "732690", "850710", "H8", "crushed lead batteries under a layer of steel parts"),
    )
    for index in range(WASTE_ROWS):
        category, declared, found, hazard, words = wastes[index % len(wastes)]
        destination = ("VN", "MY", "TH", "VN")[index % 4]
        container = _container(random)
        if index == 5:
            container = container[:-1] + str((int(container[-1]) + 1) % 10)
        yield {
            "Case": f"NLW{index + 1:04d}",
            "Found": _day(random),
            "Consent": random.choice(("NONE", "NONE", "EXPIRED", "OBJECTED")),
            "From": "NL",
            "From Place": "NLRTM",
            "Via Place": "SGSIN" if index % 2 else "",
            "To": destination,
            "To Place": _PORTS[destination],
            "Tonnes": f"{random.uniform(8, 26):.3f}",
            "Pieces": str(random.randint(10, 900)),
            "Packaging": random.choice(("BAG", "BULK", "DRUM")),
            "Y Code": category,
            "H Code": hazard,
            "Declared HS": declared,
            "Found HS": found,
            "Container": container,
            "Seal": f"NL{random.randint(100000, 999999)}",
            "Bill of Lading": f"RTM{random.randint(1000000, 9999999)}",
            "Ship": random.choice(("Noordster", "Ocean Heron", "Straat Makassar")),
            "Exporter": f"{_firm(random)} B.V.",
            "Importer": f"{_firm(random)} Co.",
            "Driver": random.choice(("J. de Vries", "A. Bakker", "P. Visser")),
            "Description": words,
            "Note": "the same exporter was stopped before" if index % 3 == 0 else "",
            "Hit": "no" if index % 8 == 7 else "yes",
        }


def _trends(random: Random) -> Iterator[Row]:
    kinds = ("UNDERVALUATION", "FALSE_ORIGIN", "MISCLASSIFICATION", "SPLITTING")
    for index in range(TREND_ROWS):
        code, goods = _GOODS[index % len(_GOODS)]
        lowest = random.randint(10, 40)
        yield {
            "Trend": f"RAP-{index + 1:03d}",
            "From": "2026-01-01",
            "Until": "2026-03-31",
            "Kind": kinds[index % len(kinds)],
            "Origin": random.choice(("CN", "KR", "JP")),
            "Destination": random.choice(("VN", "JP")),
            "HS6 Code": code,
            "Declarations": str(random.randint(20, 400)),
            "Lowest": str(lowest),
            "Highest": str(lowest + random.randint(5, 30)),
            "Assessment": f"prices of {goods} fell by more than the market explains",
        }


def _day(random: Random) -> str:
    return f"2026-{random.randint(1, 3):02d}-{random.randint(1, 28):02d}"


def _firm(random: Random) -> str:
    return f"{random.choice(_FIRST)} {random.choice(_SECOND)}"


def _code(random: Random, length: int) -> str:
    return "".join(random.choices(ascii_uppercase + digits, k=length))


def _container(random: Random) -> str:
    owner = "".join(random.choices(ascii_uppercase, k=3)) + "U"
    serial = "".join(random.choices(digits, k=6))
    return owner + serial + iso6346.calc_check_digit(owner + serial)


def _item_number(random: Random, country: str) -> str:
    """Return an item number of UPU standard S10, check digit included."""
    serial = [random.randint(0, 9) for _ in range(8)]
    check = (
        11 - sum(digit * weight for digit, weight in zip(serial, (8, 6, 4, 2, 3, 5, 9, 7), strict=True)) % 11
    )
    check = {10: 0, 11: 5}.get(check, check)
    return (
        f"{random.choice('CERL')}{random.choice(ascii_uppercase)}{''.join(map(str, serial))}{check}{country}"
    )
