"""The notice type `drug-parcel`: drugs in a parcel.

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
    Person,
    Quantity,
    Route,
    Severity,
    SuggestedAction,
    Urgency,
)
from adapters.typed import Perhaps, Shown, TypedNotice

Concealment = Literal[
    "NONE",
    "IN_GOODS",
    "IN_PACKAGING",
    "FALSE_BOTTOM",
    "DISGUISED_AS_GOODS",
    "IN_FOOD",
    "IN_COSMETICS",
    "IN_MACHINERY",
    "IN_BOOKS_OR_PAPER",
    "IMPREGNATED",
    "DISSOLVED",
    "OTHER",
]
"""How drugs are hidden in a parcel."""

ConventionSchedule = Literal[
    "SC1961_I",
    "SC1961_II",
    "SC1961_III",
    "SC1961_IV",
    "CPS1971_I",
    "CPS1971_II",
    "CPS1971_III",
    "CPS1971_IV",
    "C1988_TABLE_I",
    "C1988_TABLE_II",
    "NATIONAL_LAW",
    "NOT_CONTROLLED",
]
"""Schedule or table of the drug control conventions of 1961, 1971 and 1988."""

DrugForm = Literal[
    "POWDER",
    "CRYSTAL",
    "TABLET",
    "CAPSULE",
    "LIQUID",
    "RESIN",
    "HERBAL",
    "PLANT",
    "BLOTTER",
    "PASTE",
    "BLOCK",
    "OTHER",
]
"""Physical form of a drug."""

ParcelChannel = Literal["POST", "EXPRESS", "AIR_CARGO"]
"""The way by which a parcel travels."""

PaymentKind = Literal[
    "CARD",
    "BANK_TRANSFER",
    "VIRTUAL_ASSET",
    "MOBILE_WALLET",
    "MONEY_SERVICE",
    "CASH",
    "OTHER",
]
"""How a payment was made."""

SubstanceCategory = Literal[
    "CANNABIS",
    "COCAINE",
    "OPIATES",
    "SYNTHETIC_OPIOIDS",
    "AMPHETAMINES",
    "HALLUCINOGENS",
    "SEDATIVES",
    "DISSOCIATIVES",
    "SYNTHETIC_CANNABINOIDS",
    "SYNTHETIC_CATHINONES",
    "OTHER_NEW_SUBSTANCE",
    "KHAT",
    "PRECURSOR",
    "MEDICINE",
    "OTHER",
]
"""Family of a substance."""


class DeclaredGoods(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """One line of a declaration of contents."""

    hs: str | None = None
    """HS code: Harmonized System code of 2, 4 or 6 digits as declared (WCO Data Model 145). Code list: hs."""
    quantity: Quantity | None = None
    """Quantity: Number or amount as declared."""
    net_mass: Quantity | None = None
    """Net mass: Declared mass without packaging in kg, unit KGM (WCO Data Model 128)."""
    value: Money | None = None
    """Value: Declared value."""


class Payment(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A trace of a payment."""

    kind: PaymentKind
    """Kind: How it was paid."""
    provider: str | None = None
    """Provider: Bank, exchange or payment service."""
    account: str | None = None
    """Account: Account, card or wallet as far as it is known."""
    amount: Money | None = None
    """Amount: Amount that was paid."""
    paid_at: datetime | None = None
    """Paid at: When it was paid, UTC."""


class Substance(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A substance that was found or is suspected."""

    name: str
    """Name: Name from the code list of substances, lower case: the international non-proprietary name where
    there is one. Code list: substances.
    """
    cas: Identifier | str | None = None
    """CAS number: CAS registry number with its check digit."""
    category: SubstanceCategory | None = None
    """Category: Family of the substance."""
    schedule: ConventionSchedule | None = None
    """Schedule: Schedule or table under which it is controlled."""
    form: DrugForm | None = None
    """Form: Physical form."""
    quantity: Quantity | None = None
    """Quantity: Amount that was found, or is expected: KGM, or H87 for tablets and the like."""
    purity: Decimal | None = None
    """Purity: Share of the pure substance by mass in per cent, 0 to 100."""
    confirmed: bool | None = None
    """Confirmed by laboratory: True if a laboratory confirmed it, false if it is presumed; null if not
    stated.
    """


class DrugParcel(TypedNotice, frozen=True, kw_only=True):
    """N01: a parcel, by post, express or air cargo, that holds or is thought to hold drugs."""

    TYPE: ClassVar[str] = "drug-parcel"
    SLOTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "facts": (
            "channel",
            "route",
            "mail_centre",
            "posted_at",
            "seen_at",
            "declared_goods",
            "gross_mass",
            "substances",
            "concealment",
            "detection",
            "grading",
            "urgency",
            "severity",
            "certainty",
            "suggested_action",
            "officer_safety",
        ),
        "identifiers": ("postal_item", "air_waybill", "house_waybill", "external_ids"),
        "entities": ("operator", "sender_firm", "recipient_firm", "marketplace", "contact"),
        "persons": ("sender", "recipient", "payment_trace"),
        "intelligence": ("declared_description", "concealment_description", "narrative"),
        "attachments": ("attachments",),
    }

    channel: Shown[ParcelChannel]
    """Channel (facts): The way by which the parcel travels."""
    route: Perhaps[Route] = None
    """Route (facts): Route of the parcel."""
    mail_centre: Perhaps[str] = None
    """Mail centre (facts): Office of exchange that handles or handled the parcel: UPU code of six characters.
    """
    posted_at: Perhaps[datetime] = None
    """Posted (facts): When it was posted or handed to the operator, UTC."""
    seen_at: Perhaps[datetime] = None
    """Last seen (facts): When it was last seen, UTC."""
    declared_goods: Perhaps[list[DeclaredGoods]] = None
    """Declared goods (facts): Contents as declared, line by line; the words of the declaration are in
    `declared_description`.
    """
    gross_mass: Perhaps[Quantity] = None
    """Gross mass (facts): Mass of the whole parcel in kg, unit KGM (WCO Data Model 131)."""
    substances: Perhaps[list[Substance]] = None
    """Substances (facts): Substances that were found or are suspected."""
    concealment: Perhaps[Concealment] = None
    """Concealment (facts): How it is hidden; details are in `concealment_description`."""
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
    postal_item: Perhaps[Identifier | str] = None
    """Postal item (identifiers): Item number of UPU standard S10: two letters, nine digits with a check
    digit, two letters.
    """
    air_waybill: Perhaps[Identifier | str] = None
    """Air waybill (identifiers): IATA air waybill: airline prefix of three digits, serial of seven, check
    digit.
    """
    house_waybill: Perhaps[Identifier | str] = None
    """House waybill (identifiers): Number that an express or cargo operator gave; there is no common check
    digit.
    """
    external_ids: Perhaps[list[ExternalId]] = None
    """Numbers in other systems (identifiers): Numbers of the same case in other systems; null if there are
    none.
    """
    operator: Perhaps[Entity] = None
    """Operator (entities): Postal, express or air operator."""
    sender_firm: Perhaps[Entity] = None
    """Sender (firm) (entities): Sender, if it is a firm."""
    recipient_firm: Perhaps[Entity] = None
    """Recipient (firm) (entities): Recipient, if it is a firm."""
    marketplace: Perhaps[Entity] = None
    """Marketplace (entities): Marketplace on which it was ordered."""
    contact: Perhaps[ContactPoint] = None
    """Contact point (entities): Office of the originator to turn to."""
    sender: Perhaps[Person] = None
    """Sender (persons): Sender, if it is a person or said to be one."""
    recipient: Perhaps[Person] = None
    """Recipient (persons): Recipient, if it is a person or said to be one."""
    payment_trace: Perhaps[list[Payment]] = None
    """Payment traces (persons): Traces of payment."""
    declared_description: Perhaps[FreeText] = None
    """Declared contents (intelligence): Contents in the words of the declaration."""
    concealment_description: Perhaps[FreeText] = None
    """Concealment in words (intelligence): How it is hidden, in words."""
    narrative: Perhaps[FreeText] = None
    """Narrative (intelligence): What is known and why it matters, in free text."""
    attachments: Perhaps[list[Attachment]] = None
    """Files (attachments): Files that belong to the notice; null if there are none."""
