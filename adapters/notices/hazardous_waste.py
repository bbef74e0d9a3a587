"""The notice type `hazardous-waste`: hazardous waste.

Made from schemas/ by `python -m schemas.typed`; a test compares.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from msgspec import Struct

from adapters.notices.shared import (
    Attachment,
    Certainty,
    ContactPoint,
    DetectionMethod,
    Entity,
    ExternalId,
    FreeText,
    Grading,
    Identifier,
    Place,
    Quantity,
    RelatedPerson,
    Route,
    Severity,
    SuggestedAction,
    TransportMode,
    Urgency,
)
from adapters.typed import Perhaps, Shown, TypedNotice

CompetentAuthorityRole = Literal["EXPORT", "TRANSIT", "IMPORT"]
"""Part of a state in a movement of waste."""

ConsentStatus = Literal["NONE", "REQUESTED", "CONSENTED", "TACIT", "OBJECTED", "EXPIRED"]
"""Where the prior informed consent procedure stands."""

OperationKind = Literal["DISPOSAL", "RECOVERY"]
"""Whether waste is to be disposed of or recovered."""

PhysicalCharacteristic = Literal["POWDER", "SOLID", "PASTE", "SLUDGE", "LIQUID", "GAS", "OTHER"]
"""Physical characteristics of the Basel notification, numbers 1 to 7 in this order."""

SealState = Literal["INTACT", "BROKEN", "ABSENT"]
"""State of a seal."""

WastePackaging = Literal[
    "DRUM",
    "WOODEN_BARREL",
    "JERRICAN",
    "BOX",
    "BAG",
    "COMPOSITE",
    "PRESSURE_RECEPTACLE",
    "BULK",
    "OTHER",
]
"""Types of packaging of the Basel notification, numbers 1 to 9 in this order."""


class CompetentAuthority(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A competent authority under the Basel Convention."""

    role: CompetentAuthorityRole
    """Role: Export, transit or import."""
    country: str
    """Country: ISO 3166-1 code of two letters. Code list: countries."""
    code: str | None = None
    """Code: Code number of the authority."""


class Constituent(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """One constituent of a waste."""

    cas: Identifier | str
    """CAS number: CAS registry number with its check digit."""
    share_from: Decimal | None = None
    """Share from: Least share by mass in per cent, 0 to 100."""
    share_until: Decimal | None = None
    """Share until: Greatest share by mass in per cent, 0 to 100."""


class Seal(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A seal and the state it was found in."""

    number: str
    """Number: Number of the seal."""
    state: SealState | None = None
    """State: State in which it was found; null if it was not looked at."""


class Ship(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A sea-going ship and its voyage."""

    name: str | None = None
    """Name: Name of the ship."""
    imo: Identifier | str | None = None
    """IMO number: IMO ship number, seven digits with a check digit."""
    flag: str | None = None
    """Flag: ISO 3166-1 code of two letters of the flag state. Code list: countries."""
    voyage: str | None = None
    """Voyage: Voyage number of the carrier."""


class HazardousWaste(TypedNotice, frozen=True, kw_only=True):
    """N02: a shipment of waste, notified under the Basel Convention, undeclared, or declared as something
    else.
    """

    TYPE: ClassVar[str] = "hazardous-waste"
    SLOTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "facts": (
            "consent_status",
            "route",
            "exit_points",
            "entry_points",
            "transport_modes",
            "operation_kind",
            "operation",
            "shipments",
            "first_departure_at",
            "last_departure_at",
            "quantity",
            "pieces",
            "packaging",
            "special_handling",
            "physical_characteristics",
            "constituents",
            "annex_codes",
            "y_codes",
            "h_codes",
            "un_classes",
            "un_numbers",
            "declared_hs",
            "found_hs",
            "competent_authorities",
            "take_back_requested",
            "detection",
            "grading",
            "urgency",
            "severity",
            "certainty",
            "suggested_action",
            "officer_safety",
        ),
        "identifiers": (
            "notification_number",
            "containers",
            "seals",
            "bill_of_lading",
            "ship",
            "ucr",
            "external_ids",
        ),
        "entities": ("notifier", "importer", "carriers", "generators", "facility", "contact"),
        "persons": ("related_persons",),
        "intelligence": ("waste_description", "composition", "generating_process", "narrative"),
        "attachments": ("attachments",),
    }

    consent_status: Shown[ConsentStatus]
    """Consent status (facts): Where the prior informed consent procedure of the Basel Convention stands."""
    route: Perhaps[Route] = None
    """Route (facts): Route of the shipment."""
    exit_points: Perhaps[list[Place]] = None
    """Points of exit (facts): Points of exit, in the order of the journey."""
    entry_points: Perhaps[list[Place]] = None
    """Points of entry (facts): Points of entry, in the order of the journey."""
    transport_modes: Perhaps[list[TransportMode]] = None
    """Modes of transport (facts): Modes of transport, in the order of the journey."""
    operation_kind: Perhaps[OperationKind] = None
    """Purpose of the movement (facts): Disposal or recovery, as on the notification."""
    operation: Perhaps[str] = None
    """D/R operation (facts): Disposal (D) or recovery (R) code of Annex IV of the Basel Convention. Code
    list: basel.
    """
    shipments: Perhaps[int] = None
    """Shipments (facts): Number of shipments that the notification covers."""
    first_departure_at: Perhaps[datetime] = None
    """First departure (facts): First departure, UTC."""
    last_departure_at: Perhaps[datetime] = None
    """Last departure (facts): Last departure, UTC."""
    quantity: Perhaps[Quantity] = None
    """Quantity of waste (facts): Amount of waste: TNE for tonnes or MTQ for m³."""
    pieces: Perhaps[Quantity] = None
    """Pieces (facts): Number of pieces, unit H87."""
    packaging: Perhaps[list[WastePackaging]] = None
    """Packaging (facts): Types of packaging."""
    special_handling: Perhaps[bool] = None
    """Special handling (facts): Whether special handling is required."""
    physical_characteristics: Perhaps[list[PhysicalCharacteristic]] = None
    """Physical characteristics (facts): Physical characteristics."""
    constituents: Perhaps[list[Constituent]] = None
    """Constituents (facts): Composition by substances; words are in `composition`."""
    annex_codes: Perhaps[list[str]] = None
    """Annex VIII or IX (facts): Codes of Annex VIII (A) or IX (B) of the Basel Convention. Code list: basel.
    """
    y_codes: Perhaps[list[str]] = None
    """Y categories (facts): Categories (Y) of Annex I or II of the Basel Convention. Code list: basel."""
    h_codes: Perhaps[list[str]] = None
    """H characteristics (facts): Hazardous characteristics (H) of Annex III of the Basel Convention. Code
    list: basel.
    """
    un_classes: Perhaps[list[str]] = None
    """UN classes (facts): Classes or divisions of the UN Model Regulations on dangerous goods. Code list:
    un-classes.
    """
    un_numbers: Perhaps[list[str]] = None
    """UN numbers (facts): UN numbers of dangerous goods, four digits."""
    declared_hs: Perhaps[list[str]] = None
    """HS codes declared (facts): Harmonized System codes of 2, 4 or 6 digits as declared (WCO Data Model
    145). Code list: hs.
    """
    found_hs: Perhaps[list[str]] = None
    """HS codes found (facts): Harmonized System codes of 2, 4 or 6 digits as found. Code list: hs."""
    competent_authorities: Perhaps[list[CompetentAuthority]] = None
    """Competent authorities (facts): Competent authorities."""
    take_back_requested: Perhaps[bool] = None
    """Take-back requested (facts): Whether the state of export is asked to take the waste back."""
    detection: Perhaps[list[DetectionMethod]] = None
    """Detection (facts): How it came to notice."""
    grading: Perhaps[Grading] = None
    """Grading (facts): Trust in source and information; null if not graded."""
    urgency: Perhaps[Urgency] = None
    """Urgency (facts): How soon action is needed, as in the Common Alerting Protocol."""
    severity: Perhaps[Severity] = None
    """Severity (facts): How grave the consequences would be, as in the Common Alerting Protocol."""
    certainty: Perhaps[Certainty] = None
    """Certainty (facts): How sure the originator is, as in the Common Alerting Protocol."""
    suggested_action: Perhaps[SuggestedAction] = None
    """Suggested action (facts): What the originator asks the receiver to do; null if nothing is asked."""
    officer_safety: Perhaps[bool] = None
    """Danger to officers (facts): True if goods or people may harm officers (toxic dust, needles, weapons);
    null if nothing is known.
    """
    notification_number: Perhaps[str] = None
    """Notification number (identifiers): Number of the Basel notification."""
    containers: Perhaps[list[Identifier | str]] = None
    """Containers (identifiers): Container numbers of ISO 6346 with their check digits (one check for each).
    """
    seals: Perhaps[list[Seal]] = None
    """Seals (identifiers): Seals."""
    bill_of_lading: Perhaps[str] = None
    """Bill of lading (identifiers): Number of the bill of lading."""
    ship: Perhaps[Ship] = None
    """Ship (identifiers): Ship and voyage."""
    ucr: Perhaps[str] = None
    """Unique consignment reference (identifiers): Unique consignment reference (WCO Data Model 016)."""
    external_ids: Perhaps[list[ExternalId]] = None
    """Numbers in other systems (identifiers): Numbers of the same case in other systems; null if there are
    none.
    """
    notifier: Perhaps[Entity] = None
    """Exporter or notifier (entities): Exporter or notifier."""
    importer: Perhaps[Entity] = None
    """Importer or consignee (entities): Importer or consignee."""
    carriers: Perhaps[list[Entity]] = None
    """Carriers (entities): Carriers, in the order of the journey."""
    generators: Perhaps[list[Entity]] = None
    """Waste generators (entities): Generators of the waste."""
    facility: Perhaps[Entity] = None
    """Disposal or recovery facility (entities): Disposal or recovery facility."""
    contact: Perhaps[ContactPoint] = None
    """Contact point (entities): Office of the originator to turn to."""
    related_persons: Perhaps[list[RelatedPerson]] = None
    """Persons involved (persons): Persons and the part that each plays."""
    waste_description: Perhaps[FreeText] = None
    """Waste in words (intelligence): Designation of the waste in words."""
    composition: Perhaps[FreeText] = None
    """Composition (intelligence): Composition in words."""
    generating_process: Perhaps[FreeText] = None
    """Generating process (intelligence): Process from which the waste comes."""
    narrative: Perhaps[FreeText] = None
    """Narrative (intelligence): What is known and why it matters, in free text."""
    attachments: Perhaps[list[Attachment]] = None
    """Files (attachments): Files that belong to the notice; null if there are none."""
