"""The notice type `revenue-fraud`: revenue fraud.

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
    Money,
    Quantity,
    RelatedPerson,
    Route,
    Severity,
    SuggestedAction,
    TransportMode,
    Urgency,
)
from adapters.typed import Perhaps, Shown, TypedNotice

CustomsProcedure = Literal[
    "HOME_USE",
    "TRANSIT",
    "WAREHOUSING",
    "INWARD_PROCESSING",
    "OUTWARD_PROCESSING",
    "TEMPORARY_ADMISSION",
    "FREE_ZONE",
    "EXPORT",
    "RE_EXPORT",
    "LOW_VALUE",
    "OTHER",
]
"""Customs procedure."""

FraudKind = Literal[
    "UNDERVALUATION",
    "OVERVALUATION",
    "MISCLASSIFICATION",
    "FALSE_ORIGIN",
    "QUANTITY",
    "PREFERENCE_ABUSE",
    "TRADE_REMEDY_EVASION",
    "PROCEDURE_ABUSE",
    "SPLITTING",
    "SMUGGLING",
    "OTHER",
]
"""Kind of revenue fraud."""

FraudScope = Literal["CONSIGNMENT", "TREND"]
"""Whether a notice is about one consignment or a trend over many."""


class Band(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A band of per cent."""

    lowest: Decimal | None = None
    """Lowest: Lower end in per cent."""
    highest: Decimal | None = None
    """Highest: Upper end in per cent."""


class RevenueFraud(TypedNotice, frozen=True, kw_only=True):
    """N08: a consignment, or a trend over many, by which duty or tax is evaded or thought to be evaded."""

    TYPE: ClassVar[str] = "revenue-fraud"
    SLOTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "facts": (
            "scope",
            "kinds",
            "route",
            "transport_mode",
            "declared_hs",
            "found_hs",
            "claimed_origin",
            "found_origin",
            "declared_value",
            "assessed_value",
            "net_mass",
            "quantity",
            "price_per_kg",
            "price_per_kg_threshold",
            "undervaluation",
            "duty_rate",
            "duty_at_risk",
            "procedure",
            "customs_office",
            "period_from",
            "period_until",
            "declarations",
            "detection",
            "grading",
            "urgency",
            "severity",
            "certainty",
            "suggested_action",
            "officer_safety",
        ),
        "identifiers": ("declaration_numbers", "containers", "transport_document", "ucr", "external_ids"),
        "entities": ("declarant", "importer", "exporter", "manufacturer", "carrier", "contact"),
        "persons": ("related_persons",),
        "intelligence": ("goods_description", "modus_operandi", "narrative"),
        "attachments": ("attachments",),
    }

    scope: Shown[FraudScope]
    """Scope (facts): One consignment, or a trend over many."""
    kinds: Perhaps[list[FraudKind]] = None
    """Kinds of fraud (facts): Kinds of fraud."""
    route: Perhaps[Route] = None
    """Route (facts): Routing of the goods."""
    transport_mode: Perhaps[TransportMode] = None
    """Mode of transport (facts): Mode of transport at the border."""
    declared_hs: Perhaps[str] = None
    """HS code declared (facts): Harmonized System code of 2, 4 or 6 digits as declared (WCO Data Model 145).
    Code list: hs.
    """
    found_hs: Perhaps[str] = None
    """HS code found (facts): Harmonized System code of 2, 4 or 6 digits as found. Code list: hs."""
    claimed_origin: Perhaps[str] = None
    """Origin claimed (facts): Country of origin as claimed, ISO 3166-1 code of two letters. Code list:
    countries.
    """
    found_origin: Perhaps[str] = None
    """Origin found (facts): Country of origin as found, ISO 3166-1 code of two letters. Code list: countries.
    """
    declared_value: Perhaps[Money] = None
    """Declared value (facts): Value as declared."""
    assessed_value: Perhaps[Money] = None
    """Assessed value (facts): Value as assessed by customs."""
    net_mass: Perhaps[Quantity] = None
    """Net mass (facts): Mass without packaging in kg, unit KGM (WCO Data Model 128)."""
    quantity: Perhaps[Quantity] = None
    """Quantity (facts): Number or amount of the goods."""
    price_per_kg: Perhaps[Money] = None
    """Price per kg (facts): Declared value per kg of net mass."""
    price_per_kg_threshold: Perhaps[Money] = None
    """Threshold price per kg (facts): Value per kg below which a declaration is thought to be undervalued."""
    undervaluation: Perhaps[Band] = None
    """Undervaluation (facts): By how many per cent the value is declared too low."""
    duty_rate: Perhaps[Decimal] = None
    """Duty rate (facts): Rate of duty in per cent of the value."""
    duty_at_risk: Perhaps[Money] = None
    """Duty at risk (facts): Duty and tax that would be lost."""
    procedure: Perhaps[CustomsProcedure] = None
    """Procedure (facts): Customs procedure."""
    customs_office: Perhaps[str] = None
    """Customs office (facts): Code of the customs office in the list of the reporting administration."""
    period_from: Perhaps[datetime] = None
    """Period from (facts): Begin of the period, or the time of the declaration, UTC."""
    period_until: Perhaps[datetime] = None
    """Period until (facts): End of the period, UTC, not included."""
    declarations: Perhaps[int] = None
    """Declarations (facts): Number of declarations."""
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
    declaration_numbers: Perhaps[list[str]] = None
    """Declaration numbers (identifiers): Numbers of the declarations."""
    containers: Perhaps[list[Identifier | str]] = None
    """Containers (identifiers): Container numbers of ISO 6346 with their check digits (one check for each).
    """
    transport_document: Perhaps[str] = None
    """Transport document (identifiers): Number of the bill of lading, waybill or other transport document."""
    ucr: Perhaps[str] = None
    """Unique consignment reference (identifiers): Unique consignment reference (WCO Data Model 016)."""
    external_ids: Perhaps[list[ExternalId]] = None
    """Numbers in other systems (identifiers): Numbers of the same case in other systems; null if there are
    none.
    """
    declarant: Perhaps[Entity] = None
    """Declarant (entities): Declarant or customs agent."""
    importer: Perhaps[Entity] = None
    """Importer or consignee (entities): Importer."""
    exporter: Perhaps[Entity] = None
    """Exporter or seller (entities): Exporter or seller."""
    manufacturer: Perhaps[Entity] = None
    """Manufacturer (entities): Manufacturer."""
    carrier: Perhaps[Entity] = None
    """Carrier (entities): Carrier or courier."""
    contact: Perhaps[ContactPoint] = None
    """Contact point (entities): Office of the originator to turn to."""
    related_persons: Perhaps[list[RelatedPerson]] = None
    """Persons involved (persons): Persons and the part that each plays."""
    goods_description: Perhaps[FreeText] = None
    """Goods in words (intelligence): Goods in words."""
    modus_operandi: Perhaps[FreeText] = None
    """Modus operandi (intelligence): How the fraud works."""
    narrative: Perhaps[FreeText] = None
    """Narrative (intelligence): What is known and why it matters, in free text."""
    attachments: Perhaps[list[Attachment]] = None
    """Files (attachments): Files that belong to the notice; null if there are none."""
