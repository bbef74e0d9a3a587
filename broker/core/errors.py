"""Everything that can be refused, and by which code.

::

    HalongError
    ├── Refused        the message is at fault; sending it again cannot help
    └── Unavailable    we are at fault; try again

Each leaf has one stable code: it travels, it is counted, and tests assert it.
Messages name fields and sizes, never values.
"""

from __future__ import annotations

from typing import ClassVar


class HalongError(Exception):
    """The root of the tree.

    Args:
        message: What is wrong, without any value of the notice.
        field: The field, slot, file or setting at fault, where one can be named.
    """

    code: ClassVar[str] = ""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Refused(HalongError):
    """The message is at fault; sending it again cannot help."""


class Unavailable(HalongError):
    """We are at fault, or out of reach; sending it again is harmless and may help."""

    code = "unavailable"


# --- the bytes of an envelope -------------------------------------------------------------


class TooLarge(Refused):
    """A size limit is exceeded; found before anything is parsed."""

    code = "too-large"


class NotCanonical(Refused):
    """Bytes are not in their one encoding, or cannot be decoded at all."""

    code = "not-canonical"


class BadEnvelope(Refused):
    """Slots are out of order, twice there, or both disclosed and sealed."""

    code = "bad-envelope"


class BadHeader(Refused):
    """A rule, grammar, order or range of the header is broken."""

    code = "bad-header"


class UnknownKey(Refused):
    """The originator held no such key at that time."""

    code = "unknown-key"


class BadSignature(Refused):
    """The signature does not cover these bytes, or is not in the one form that is accepted."""

    code = "bad-signature"


class Incomplete(Refused):
    """A slot is neither disclosed nor sealed, at a station where all must be there."""

    code = "incomplete"


class BadDisclosure(Refused):
    """A slot's content does not hash to the digest that was signed."""

    code = "bad-disclosure"


class BadSlot(Refused):
    """A slot's value is not in its one encoding under its schema, or breaks a text rule."""

    code = "bad-slot"


class BadSeal(Refused):
    """Sealed slots, wraps, their root or their proofs do not hold together."""

    code = "bad-seal"


class BadDelivery(Refused):
    """A delivery's content is not what its head names."""

    code = "bad-delivery"


# --- what the network knows and allows ------------------------------------------------------


class UnknownType(Refused):
    """No such notice type is in the catalogue."""

    code = "unknown-type"


class UnknownSchema(Refused):
    """The type is known, this schema of it is not."""

    code = "unknown-schema"


class Expired(Refused):
    """The notice is past its `effective_until`."""

    code = "expired"


class NotYetValid(Refused):
    """The notice claims to be issued in the future."""

    code = "not-yet-valid"


class NotSupported(Refused):
    """An act or a seal that this version cannot carry yet."""

    code = "not-supported"


class SealingRequired(Refused):
    """The type or an agreement demands that this slot is sealed, and it has content."""

    code = "sealing-required"


class WeakKey(Refused):
    """A public key that must not be registered: small order, not canonical, or off its curve."""

    code = "weak-key"


class AddresseeUnreached(Refused):
    """No agreement carries the notice to a member that it is addressed to."""

    code = "addressee-unreached"


# --- numbers ----------------------------------------------------------------------------------


class Equivocation(Refused):
    """Another statement was admitted under this number."""

    code = "equivocation"


class Stale(Refused):
    """The number is not above the last that was admitted."""

    code = "stale"


class OutOfOrder(Refused):
    """`previous` is not the last admitted statement of the stream."""

    code = "out-of-order"


class NotAttempted(Refused):
    """An earlier notice of the same stream was refused, so this one was not looked at."""

    code = "not-attempted"


# --- peers --------------------------------------------------------------------------------------


class NotMember(Refused):
    """The certificate's key belongs to no member."""

    code = "not-member"


class NotYours(Refused):
    """The peer speaks for, or asks for what belongs to, another member."""

    code = "not-yours"


class TooMany(Refused):
    """The peer sends more than its rate allows; try again later, and slower."""

    code = "too-many"


# --- callers of a node's local API ---------------------------------------------------------------


class NotAuthorised(Refused):
    """The caller does not show the node's token, or came by another name than this machine's."""

    code = "not-authorised"


class NotFound(Refused):
    """The node has no such thing."""

    code = "not-found"


class SourceReused(Refused):
    """Another notice was queued under this source: what is sent once is never replaced."""

    code = "source-reused"


# --- what a member finds wrong with the hub -----------------------------------------------------


class BadProof(Refused):
    """The checkpoint is not the log's, or the inclusion path does not lead to it."""

    code = "bad-proof"


class Untimely(Refused):
    """A decision bears a time at which the log did not take it in: it may be dated back, or forward."""

    code = "untimely"


class NotCosigned(Refused):
    """Not enough witnesses stand behind a checkpoint."""

    code = "not-cosigned"


class LaneGap(Refused):
    """A lane's sequence has a hole or a repeat: a delivery was dropped, added or moved."""

    code = "lane-gap"


class BadHead(Refused):
    """A head of our inbox that is another's, dated forward, or denies what was said or delivered."""

    code = "bad-head"


class MissingDelivery(Refused):
    """The hub has put more into our inbox, by its own head, than it has handed out."""

    code = "missing-delivery"


class HeadOverdue(Refused):
    """No head of our inbox of late: the hub may be hiding what it cut."""

    code = "head-overdue"


class NotAgreed(Refused):
    """No agreement named in the delivery allows what the delivery shows."""

    code = "not-agreed"


# --- files and settings ---------------------------------------------------------------------------


class BadConfiguration(Refused):
    """A configuration, directory, agreement or map file cannot be used as it is."""

    code = "bad-configuration"


class UnfitDirectory(BadConfiguration):
    """A version of the signed directory that is not taken; each way to be unfit has a code of its own."""


class DirectoryMalformed(UnfitDirectory):
    """A file of the directory, or a delegation in one, is not of the one form that is accepted."""

    code = "directory-malformed"


class DirectoryUnsigned(UnfitDirectory):
    """A role is not signed by as many of its keys as it must be, or bears another's signature."""

    code = "directory-unsigned"


class DirectoryMixed(UnfitDirectory):
    """Files that do not belong to one version: one is missing, or is not the one that the snapshot names."""

    code = "directory-mixed"


class DirectoryRolledBack(UnfitDirectory):
    """Something is older than what was seen before, or was seen before and is gone."""

    code = "directory-rolled-back"


class DirectoryEquivocation(UnfitDirectory):
    """Two contents under one number."""

    code = "directory-equivocation"


class BadSuccession(UnfitDirectory):
    """A log without the end of the one before it, or an end that denies what was seen of it."""

    code = "bad-succession"


class DirectoryExpired(UnfitDirectory):
    """The version is no longer vouched for: it may be one that somebody froze."""

    code = "directory-expired"


class DirectoryPin(UnfitDirectory):
    """The secretariat's file names other keys for this member than its own."""

    code = "directory-pin"


class DirectoryWithheld(UnfitDirectory):
    """The directory has not what this member signed last for itself."""

    code = "directory-withheld"


# --- what operators ask ---------------------------------------------------------------------------------


class AskingNotLogged(Unavailable):
    """What was asked of the log could not be written into it first, so it is not answered."""

    code = "asking-not-logged"


# --- private keys on tokens -------------------------------------------------------------------------


class KeyUnavailable(Unavailable):
    """The token with the private key is not there, or does not answer; nothing was signed."""

    code = "key-unavailable"


class KeyLocked(Unavailable):
    """The token refuses the PIN, or has none tried that could lock it: a person must see to it."""

    code = "key-locked"


class StoreDamaged(BadConfiguration):
    """A node's store holds a value that the node did not write; the message names table and column."""

    code = "store-damaged"


# --- files that are carried: sticks and evidence --------------------------------------------------


class BadStick(Refused):
    """The file is no whole stick, or not one for this node or at this point of its conversation."""

    code = "bad-stick"


class StickMissing(Refused):
    """Another stick must be taken in before this one; nothing was taken from it."""

    code = "stick-missing"


class BadEvidence(Refused):
    """The file is no bundle of evidence in its one form, or holds what does not belong together."""

    code = "bad-evidence"
