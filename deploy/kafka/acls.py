"""Who may do what on a cluster with certificates: the hub, and a member that reads its inbox itself.

By confluent-kafka's AdminClient: no jar that Maven Central has does this, and aiokafka cannot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not marked so for mypy
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

SECONDS = 20.0
_ANY_HOST = "*"
_CLUSTER = "kafka-cluster"


def allow_hub(bootstrap: str, tls: Mapping[str, Path], name: str, prefix: str = "") -> None:
    """Let the holder of this certificate name run a hub whose names begin with `prefix`."""
    everything = [AclOperation.READ, AclOperation.WRITE, AclOperation.CREATE, AclOperation.DESCRIBE]
    group = f"{prefix}halong-"
    _allow(
        bootstrap,
        tls,
        [
            *_begins(name, ResourceType.TOPIC, prefix, everything),
            *_begins(name, ResourceType.GROUP, group, [AclOperation.READ, AclOperation.DESCRIBE]),
            *_begins(name, ResourceType.TRANSACTIONAL_ID, group, [AclOperation.WRITE, AclOperation.DESCRIBE]),
            _binding(
                name, ResourceType.BROKER, _CLUSTER, exact=True, operation=AclOperation.IDEMPOTENT_WRITE
            ),
            _binding(name, ResourceType.BROKER, _CLUSTER, exact=True, operation=AclOperation.DESCRIBE),
        ],
    )


def allow_member(bootstrap: str, tls: Mapping[str, Path], member: str, prefix: str = "") -> None:
    """Let a member read its own inbox, and nothing else."""
    inbox, groups = f"{prefix}inbox.{member}", f"member-{member}."
    _allow(
        bootstrap,
        tls,
        [
            _binding(member, ResourceType.TOPIC, inbox, exact=True, operation=AclOperation.READ),
            _binding(member, ResourceType.TOPIC, inbox, exact=True, operation=AclOperation.DESCRIBE),
            *_begins(member, ResourceType.GROUP, groups, [AclOperation.READ]),
        ],
    )


def _begins(
    name: str, kind: ResourceType, prefix: str, operations: Iterable[AclOperation]
) -> list[AclBinding]:
    """Return rules for all names that begin with `prefix`; without one, for all names."""
    return [
        _binding(name, kind, prefix or "*", exact=not prefix, operation=operation) for operation in operations
    ]


def _binding(
    name: str, kind: ResourceType, resource: str, *, exact: bool, operation: AclOperation
) -> AclBinding:
    pattern = ResourcePatternType.LITERAL if exact else ResourcePatternType.PREFIXED
    allow = AclPermissionType.ALLOW
    return AclBinding(kind, resource, pattern, f"User:{name}", _ANY_HOST, operation, allow)


def _allow(bootstrap: str, tls: Mapping[str, Path], rules: list[AclBinding]) -> None:
    admin = AdminClient(
        {
            "bootstrap.servers": bootstrap,
            "security.protocol": "ssl",
            "ssl.ca.location": str(tls["ca"]),
            "ssl.certificate.location": str(tls["certificate"]),
            "ssl.key.location": str(tls["key"]),
        }
    )
    for made in admin.create_acls(rules, request_timeout=SECONDS).values():
        made.result(SECONDS)
