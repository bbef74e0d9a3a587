"""Types that several notices use.

Made from schemas/ by `python -m schemas.typed`; a test compares.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec import Struct

AttachmentKind = Literal["PHOTO", "XRAY_IMAGE", "LABORATORY_REPORT", "DOCUMENT", "DATA", "OTHER"]
"""What a file shows."""

Certainty = Literal["OBSERVED", "LIKELY", "POSSIBLE", "UNLIKELY", "UNKNOWN"]
"""Certainty as in the Common Alerting Protocol 1.2."""

Check = Literal["VALID", "INVALID", "NOT_CHECKABLE"]
"""Verdict on a check digit."""

DetectionMethod = Literal[
    "INTELLIGENCE",
    "RISK_PROFILE",
    "XRAY",
    "DETECTOR_DOG",
    "TRACE_DETECTION",
    "SPECTROMETRY",
    "RADIATION_PORTAL",
    "PHYSICAL_SEARCH",
    "DOCUMENT_CHECK",
    "POST_CLEARANCE_AUDIT",
    "RANDOM_CHECK",
    "OTHER",
]
"""How something came to notice."""

EntityNumberKind = Literal["TAX", "TRADER", "LEI", "DUNS", "NATIONAL_REGISTER", "REPORTER", "OTHER"]
"""The register that numbers a firm; REPORTER is a number that only the reporting administration knows how to
resolve.
"""

ExternalSystem = Literal[
    "WCO_CEN",
    "WCO_NCEN",
    "INCB_IONICS",
    "INCB_PICS",
    "EU_CIS",
    "EU_CRMS",
    "NATIONAL",
    "OTHER",
]
"""The system that gave the number."""

IdentityDocumentKind = Literal["PASSPORT", "IDENTITY_CARD", "DRIVING_LICENCE", "RESIDENCE_PERMIT", "OTHER"]
"""Kind of identity document."""

InformationGrade = Literal["I1", "I2", "I3", "I4"]
"""I1 true without reserve, I2 known to the source itself, I3 hearsay but corroborated, I4 hearsay."""

PersonRole = Literal[
    "DECLARANT",
    "DIRECTOR",
    "BENEFICIAL_OWNER",
    "REPRESENTATIVE",
    "CONTACT",
    "DRIVER",
    "OTHER",
]
"""Part that a person plays in a consignment or a firm."""

Severity = Literal["EXTREME", "SEVERE", "MODERATE", "MINOR", "UNKNOWN"]
"""Severity as in the Common Alerting Protocol 1.2."""

SourceGrade = Literal["A", "B", "C", "X"]
"""Reliability of a source: A always reliable, B usually, C usually not, X cannot be judged."""

SuggestedAction = Literal[
    "INFORM",
    "SIGHTING_AND_REPORTING",
    "DISCREET_SURVEILLANCE",
    "SPECIFIC_CHECK",
    "DO_NOT_LOAD",
    "CONTROLLED_DELIVERY_CONTACT_FIRST",
]
"""What the originator asks its partners to do."""

TransportMode = Literal["SEA", "RAIL", "ROAD", "AIR", "POST", "MULTIMODAL", "FIXED", "INLAND_WATER", "OTHER"]
"""Mode of transport after UN/ECE Recommendation 19."""

Urgency = Literal["IMMEDIATE", "EXPECTED", "FUTURE", "PAST", "UNKNOWN"]
"""Urgency as in the Common Alerting Protocol 1.2."""


class Attachment(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A file that is kept outside the log, by its digest."""

    kind: AttachmentKind
    """Kind: What the file shows."""
    title: str | None = None
    """Title: Title for people; not a file name and never used as a path."""
    media_type: str
    """Media type: Media type as registered with IANA, for example image/jpeg."""
    size: int
    """Size in bytes: Size of the file in bytes."""
    digest: str
    """SHA-256: SHA-256 of the file."""
    key: str | None = None
    """File key: AES-256 key of the file if it is kept encrypted."""


class ContactPoint(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """An office to turn to, by functional addresses; never a named officer."""

    office: str
    """Office: Name of the office."""
    telephone: str | None = None
    """Telephone: Duty telephone of the office, with country code."""
    email: str | None = None
    """E-mail: Functional mailbox of the office."""


class Entity(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A firm or public body; a private person belongs in a persons field."""

    name: str | None = None
    """Name: Name of the firm."""
    number: str | None = None
    """Number: Number of the firm in the register that `number_kind` names."""
    number_kind: EntityNumberKind | None = None
    """Kind of number: The register that gave `number`."""
    country: str | None = None
    """Country: ISO 3166-1 code of two letters of the country of establishment. Code list: countries."""
    address: str | None = None
    """Address: Business address."""
    telephone: str | None = None
    """Telephone: Telephone with country code."""
    email: str | None = None
    """E-mail: E-mail address."""
    website: str | None = None
    """Website: Address on the web."""


class ExternalId(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """The same case under its number in another system, so that one seizure is one report."""

    system: ExternalSystem
    """System: The system that gave the number."""
    value: str
    """Number: The number in that system."""


class FreeText(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Text in the words of its author. It is shown as written and never translated by Halong."""

    language: str
    """Language: ISO 639-1 code of the language it is written in. Code list: languages."""
    text: str
    """Text: The text."""


class Grading(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """How far source and information are to be trusted."""

    source: SourceGrade
    """Source: Reliability of the source."""
    information: InformationGrade
    """Information: Accuracy of the information."""


class Identifier(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A number as it was read, with the verdict on its check digit."""

    value: str
    """Number: The number as it was read."""
    check: Check | None = None
    """Check digit: Whether the check digit fits; NOT_CHECKABLE where the kind of number has none."""


class IdentityDocument(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A document that names a person."""

    kind: IdentityDocumentKind
    """Kind: Kind of document."""
    number: str
    """Number: Number of the document."""
    country: str | None = None
    """Country: ISO 3166-1 code of two letters of the issuing country. Code list: countries."""


class Money(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """An amount of money in its currency."""

    amount: Decimal
    """Amount: The amount, in `currency`."""
    currency: str
    """Currency: ISO 4217 code of three letters. Code list: currencies."""


class Person(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A natural person."""

    name: str | None = None
    """Name: Name as written on the document or label."""
    birth_date: str | None = None
    """Date of birth: Date of birth: YYYY-MM-DD, YYYY-MM or YYYY."""
    nationality: str | None = None
    """Nationality: ISO 3166-1 code of two letters. Code list: countries."""
    country: str | None = None
    """Country of residence: ISO 3166-1 code of two letters of the country of residence. Code list: countries.
    """
    address: str | None = None
    """Address: Address."""
    telephone: str | None = None
    """Telephone: Telephone with country code."""
    email: str | None = None
    """E-mail: E-mail address."""
    document: IdentityDocument | None = None
    """Identity document: Identity document."""


class Place(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A town or port by codes, so that it reads in every language."""

    country: str
    """Country: ISO 3166-1 code of two letters. Code list: countries."""
    location: str | None = None
    """Location: UN/LOCODE of five characters; nothing finer, since an exact position can be a dwelling. Code
    list: locations.
    """


class Quantity(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """An amount with its unit; never a bare number."""

    value: Decimal
    """Value: The amount, in `unit`."""
    unit: str
    """Unit: UN/ECE Recommendation 20 code: KGM for mass in kg, TNE for waste in tonnes, MTQ for m³, H87 for
    pieces. Code list: units.
    """


class RelatedPerson(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A person and the part that the person plays."""

    role: PersonRole
    """Role: The part that the person plays."""
    person: Person
    """Person: The person."""


class Route(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """From where, over what, to where."""

    origin: Place | None = None
    """Origin: Where the goods set out."""
    transit: list[Place] | None = None
    """Transit: Places on the way, in order; null if none is known."""
    destination: Place | None = None
    """Destination: Where the goods go."""
