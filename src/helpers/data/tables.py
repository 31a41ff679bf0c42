"""Every table of the data contract, declared once, in the order of the data model."""

from __future__ import annotations

from helpers.data.schema import Table
from helpers.data.tables_media import MEDIA
from helpers.data.tables_people import PEOPLE

_ORDER = (
    "members",
    "identities",
    "events",
    "orders",
    "touchpoints",
    "ad_daily",
    "content",
    "content_daily",
    "metric_daily",
    "creators",
    "deals",
    "referrals",
    "incentives",
    "assignments",
    "messages",
    "incidents",
    "surveys",
    "annotations",
    "targets",
    "costs",
    "actions",
)

TABLES: dict[str, Table] = dict(
    sorted(((table.name, table) for table in PEOPLE + MEDIA), key=lambda item: _ORDER.index(item[0]))
)
