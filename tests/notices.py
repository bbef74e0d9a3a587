"""One complete notice of each type in its JSON form, every field filled, for all tests.

    drug_parcel(recipient={"name": "Ada"}, sender=None)

returns the fields of a notice with those changed.  Names, numbers and cases are invented; numbers have
check digits that fit where not said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Fields = dict[str, Any]

COMMON: Mapping[str, Any] = {
    "grading": {"source": "B", "information": "I2"},
    "urgency": "IMMEDIATE",
    "severity": "SEVERE",
    "certainty": "LIKELY",
    "suggested_action": "SPECIFIC_CHECK",
    "officer_safety": True,
    "external_ids": [{"system": "WCO_NCEN", "value": "VN-2026-004711"}],
    "contact": {
        "office": "Anti-Smuggling Investigation Department",
        "telephone": "+84 24 5555 0100",
        "email": "duty@customs.example",
    },
    "narrative": {
        "language": "en",
        "text": "Third parcel from the same sender within two weeks.\nThe first two were delivered.",
    },
    "attachments": [
        {
            "kind": "XRAY_IMAGE",
            "title": "X-ray of the parcel",
            "media_type": "image/jpeg",
            "size": 184320,
            "digest": "5e" * 32,
            "key": "c7" * 32,
        }
    ],
}


def drug_parcel(**changes: Any) -> Fields:
    """Return a parcel from the Netherlands to Viet Nam with MDMA in a coffee machine (N01)."""
    return {
        "channel": "POST",
        "route": {
            "origin": {"country": "NL", "location": "NLAMS"},
            "transit": [{"country": "SG", "location": "SGSIN"}],
            "destination": {"country": "VN", "location": "VNSGN"},
        },
        "mail_centre": "VNSGNA",
        "posted_at": "2026-11-20T08:15:00.000Z",
        "seen_at": "2026-11-23T21:40:00.000Z",
        "declared_goods": [
            {
                "hs": "851671",
                "quantity": {"value": "1", "unit": "H87"},
                "net_mass": {"value": "3.2", "unit": "KGM"},
                "value": {"amount": "45.00", "currency": "EUR"},
            }
        ],
        "gross_mass": {"value": "4.85", "unit": "KGM"},
        "substances": [
            {
                "name": "mdma",
                "cas": {"value": "42542-10-9", "check": "VALID"},
                "category": "AMPHETAMINES",
                "schedule": "CPS1971_I",
                "form": "TABLET",
                "quantity": {"value": "1.125", "unit": "KGM"},
                "purity": "78.5",
                "confirmed": False,
            }
        ],
        "concealment": "IN_MACHINERY",
        "detection": ["RISK_PROFILE", "XRAY"],
        "postal_item": {"value": "CP001020301NL", "check": "INVALID"},
        "air_waybill": {"value": "000-12345675", "check": "VALID"},
        "house_waybill": {"value": "EX55501234", "check": "NOT_CHECKABLE"},
        "operator": _firm("Example Post", "NL", number="NL55501234", number_kind="TRADER"),
        "sender_firm": _firm("Koffie Voorbeeld B.V.", "NL"),
        "recipient_firm": _firm("Cà phê Ví Dụ", "VN"),
        "marketplace": {"name": "Example Market", "website": "https://market.example"},
        "sender": _person("Jan Voorbeeld", "NL"),
        "recipient": _person("Nguyễn Văn Ví Dụ", "VN"),
        "payment_trace": [
            {
                "kind": "VIRTUAL_ASSET",
                "provider": "Example Exchange",
                "account": "wallet-example-0001",
                "amount": {"amount": "2400.00", "currency": "EUR"},
                "paid_at": "2026-11-19T17:05:00.000Z",
            }
        ],
        "declared_description": {"language": "nl", "text": "Koffiezetapparaat, gebruikt"},
        "concealment_description": {
            "language": "en",
            "text": "Tablets in the water tank, behind a second wall",
        },
        **COMMON,
        **changes,
    }


def hazardous_waste(**changes: Any) -> Fields:
    """Return two containers of plastic waste from the Netherlands that were declared as raw goods (N02)."""
    return {
        "consent_status": "NONE",
        "route": {
            "origin": {"country": "NL", "location": "NLRTM"},
            "transit": [{"country": "SG", "location": "SGSIN"}],
            "destination": {"country": "VN", "location": "VNHPH"},
        },
        "exit_points": [{"country": "NL", "location": "NLRTM"}],
        "entry_points": [{"country": "VN", "location": "VNHPH"}],
        "transport_modes": ["ROAD", "SEA"],
        "operation_kind": "RECOVERY",
        "operation": "R3",
        "shipments": 2,
        "first_departure_at": "2026-10-20T00:00:00.000Z",
        "last_departure_at": "2026-10-27T00:00:00.000Z",
        "quantity": {"value": "41.64", "unit": "TNE"},
        "pieces": {"value": "64", "unit": "H87"},
        "packaging": ["BAG"],
        "special_handling": False,
        "physical_characteristics": ["SOLID"],
        "constituents": [
            {
                "cas": {"value": "7439-97-6", "check": "VALID"},
                "share_from": "0.001",
                "share_until": "0.02",
            }
        ],
        "annex_codes": ["A3210"],
        "y_codes": ["Y46", "Y48"],
        "h_codes": ["H12"],
        "un_classes": ["9"],
        "un_numbers": ["3077"],
        "declared_hs": ["390210"],
        "found_hs": ["391590"],
        "competent_authorities": [
            {"role": "EXPORT", "country": "NL", "code": "NL001"},
            {"role": "IMPORT", "country": "VN", "code": None},
        ],
        "take_back_requested": True,
        "detection": ["RISK_PROFILE", "PHYSICAL_SEARCH"],
        "notification_number": "NL555012",
        "containers": [
            {"value": "CSQU3054383", "check": "VALID"},
            {"value": "TSTU5973951", "check": "VALID"},
        ],
        "seals": [{"number": "EX0099", "state": "INTACT"}, {"number": "EX0100", "state": "BROKEN"}],
        "bill_of_lading": "EXBL20261027",
        "ship": {
            "name": "Example Trader",
            "imo": {"value": "9074729", "check": "VALID"},
            "flag": "PA",
            "voyage": "042E",
        },
        "ucr": "6NL555-2026-0042",
        "notifier": _firm("Voorbeeld Recycling B.V.", "NL", number="NL55509876", number_kind="TRADER"),
        "importer": _firm("Công ty Nhựa Ví Dụ", "VN", number="5550123456", number_kind="TAX"),
        "carriers": [_firm("Example Line", "SG")],
        "generators": [_firm("Gemeente Voorbeeld", "NL")],
        "facility": _firm("Nhà máy Ví Dụ", "VN"),
        "related_persons": [{"role": "DIRECTOR", "person": _person("Piet Voorbeeld", "NL")}],
        "waste_description": {"language": "en", "text": "Mixed household plastics, baled and contaminated"},
        "composition": {"language": "en", "text": "PE and PP film, food residues, small batteries"},
        "generating_process": {"language": "en", "text": "Household collection"},
        **COMMON,
        "officer_safety": False,
        **changes,
    }


def revenue_fraud(**changes: Any) -> Fields:
    """Return bicycles that are undervalued and said to come from elsewhere (N08)."""
    return {
        "scope": "TREND",
        "kinds": ["UNDERVALUATION", "FALSE_ORIGIN"],
        "route": {
            "origin": {"country": "CN", "location": "CNSHG"},
            "transit": [{"country": "MY", "location": "MYPKG"}],
            "destination": {"country": "NL", "location": "NLRTM"},
        },
        "transport_mode": "SEA",
        "declared_hs": "871200",
        "found_hs": "871160",
        "claimed_origin": "MY",
        "found_origin": "CN",
        "declared_value": {"amount": "48250.0000", "currency": "USD"},
        "assessed_value": {"amount": "182400.0000", "currency": "USD"},
        "net_mass": {"value": "9650", "unit": "KGM"},
        "quantity": {"value": "386", "unit": "H87"},
        "price_per_kg": {"amount": "5.0000", "currency": "USD"},
        "price_per_kg_threshold": {"amount": "14.5000", "currency": "USD"},
        "undervaluation": {"lowest": "60", "highest": "75"},
        "duty_rate": "48.5",
        "duty_at_risk": {"amount": "65062.7500", "currency": "USD"},
        "procedure": "HOME_USE",
        "customs_office": "NL000510",
        "period_from": "2026-07-01T00:00:00.000Z",
        "period_until": "2026-10-01T00:00:00.000Z",
        "declarations": 14,
        "detection": ["RISK_PROFILE", "POST_CLEARANCE_AUDIT"],
        "declaration_numbers": ["26NL5550123456789A", "26NL5550123456790B"],
        "containers": [{"value": "TSTU4000060", "check": "VALID"}],
        "transport_document": "EXBL20260915",
        "ucr": "6CN555-2026-0815",
        "declarant": _firm("Voorbeeld Douane-expediteur", "NL", number="NL55511111", number_kind="TRADER"),
        "importer": _firm("Fiets Voorbeeld B.V.", "NL", number="NL55522222", number_kind="TRADER"),
        "exporter": _firm("Contoh Basikal Sdn Bhd", "MY"),
        "manufacturer": _firm("Example Cycle Works", "CN"),
        "carrier": _firm("Example Line", "SG"),
        "related_persons": [{"role": "BENEFICIAL_OWNER", "person": _person("Piet Voorbeeld", "NL")}],
        "goods_description": {"language": "en", "text": "Electric bicycles declared as bicycles"},
        "modus_operandi": {"language": "en", "text": "Invoices of a trading firm that has no premises"},
        **COMMON,
        "urgency": "EXPECTED",
        "officer_safety": False,
        **changes,
    }


def feedback(**changes: Any) -> Fields:
    """Return what came of the parcel (N19)."""
    return {
        "outcome": "HIT_SEIZED",
        "acted_at": "2026-11-25T02:30:00.000Z",
        "place": {"country": "VN", "location": "VNSGN"},
        "findings": [{"hs": "293299", "substance": "mdma", "quantity": {"value": "1.18", "unit": "KGM"}}],
        "value": {"amount": "35400.0000", "currency": "EUR"},
        "use_made": ["CHECK", "SEIZURE", "INVESTIGATION"],
        "usefulness": 5,
        **COMMON,
        "urgency": "PAST",
        "certainty": "OBSERVED",
        "suggested_action": "INFORM",
        "officer_safety": False,
        "narrative": {"language": "vi", "text": "Đã bắt giữ; đang điều tra mở rộng."},
        **changes,
    }


NOTICES: Mapping[str, Callable[..., Fields]] = {
    "drug-parcel": drug_parcel,
    "feedback": feedback,
    "hazardous-waste": hazardous_waste,
    "revenue-fraud": revenue_fraud,
}
"""The function for each notice type."""


def _firm(name: str, country: str, **more: Any) -> Fields:
    return {"name": name, "country": country, "address": f"1 Example Street, {country}", **more}


def _person(name: str, country: str) -> Fields:
    return {
        "name": name,
        "birth_date": "1985-04",
        "nationality": country,
        "country": country,
        "address": f"2 Example Lane, {country}",
        "telephone": "+99 555 0123",
        "email": "somebody@mail.example",
        "document": {"kind": "PASSPORT", "number": "EX5550123", "country": country},
    }
