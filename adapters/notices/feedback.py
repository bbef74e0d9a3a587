"""The notice type `feedback`: feedback.

Made from schemas/ by `python -m schemas.typed`; a test compares.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from msgspec import Struct

from adapters.notices.shared import (
    Attachment,
    Certainty,
    ContactPoint,
    ExternalId,
    FreeText,
    Grading,
    Money,
    Place,
    Quantity,
    Severity,
    SuggestedAction,
    Urgency,
)
from adapters.typed import Perhaps, Shown, TypedNotice

Outcome = Literal[
    "HIT_SEIZED",
    "HIT_OTHER_OFFENCE",
    "CHECKED_NO_FINDING",
    "NOT_ARRIVED",
    "NOT_CHECKED",
    "SEEN_TOO_LATE",
    "REJECTED",
]
"""What came of a notice."""

UseMade = Literal["TARGETING", "CHECK", "SEIZURE", "INVESTIGATION", "RISK_PROFILE", "EVIDENCE", "NONE"]
"""What a notice was used for."""


class Finding(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Something that was found."""

    hs: str | None = None
    """HS code: Harmonized System code of 2, 4 or 6 digits as found (WCO Data Model 145). Code list: hs."""
    substance: str | None = None
    """Substance: Name from the code list of substances. Code list: substances."""
    quantity: Quantity | None = None
    """Quantity: Amount that was found."""


class Feedback(TypedNotice, frozen=True, kw_only=True):
    """N19: what came of a notice, said to its originator; the header refers to that notice."""

    TYPE: ClassVar[str] = "feedback"
    SLOTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "facts": (
            "outcome",
            "acted_at",
            "place",
            "findings",
            "value",
            "use_made",
            "usefulness",
            "grading",
            "urgency",
            "severity",
            "certainty",
            "suggested_action",
            "officer_safety",
        ),
        "identifiers": ("external_ids",),
        "entities": ("contact",),
        "persons": (),
        "intelligence": ("narrative",),
        "attachments": ("attachments",),
    }

    outcome: Shown[Outcome]
    """Outcome (facts): What came of the notice."""
    acted_at: Perhaps[datetime] = None
    """Acted at (facts): When it was checked, seized or seen, UTC."""
    place: Perhaps[Place] = None
    """Place (facts): Where that was."""
    findings: Perhaps[list[Finding]] = None
    """Findings (facts): What was found, with amounts."""
    value: Perhaps[Money] = None
    """Value or duty recovered (facts): Value of the goods, or duty recovered."""
    use_made: Perhaps[list[UseMade]] = None
    """Use made (facts): What the notice was used for."""
    usefulness: Perhaps[int] = None
    """Usefulness (0 to 5) (facts): How useful the notice was, 0 (not at all) to 5 (decisive)."""
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
    external_ids: Perhaps[list[ExternalId]] = None
    """Numbers in other systems (identifiers): Numbers of the same case in other systems; null if there are
    none.
    """
    contact: Perhaps[ContactPoint] = None
    """Contact point (entities): Office of the originator to turn to."""
    narrative: Perhaps[FreeText] = None
    """Remarks (intelligence): What is known and why it matters, in free text."""
    attachments: Perhaps[list[Attachment]] = None
    """Files (attachments): Files that belong to the notice; null if there are none."""
