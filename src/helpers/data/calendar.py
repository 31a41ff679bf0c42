"""Days of the calendar that move from year to year."""

from __future__ import annotations

from datetime import date

# First day of the lunar year (Hong Kong Observatory, Gregorian-lunar calendar conversion tables).
SPRING_FESTIVAL = (
    *(date(2020, 1, 25), date(2021, 2, 12), date(2022, 2, 1), date(2023, 1, 22), date(2024, 2, 10)),
    *(date(2025, 1, 29), date(2026, 2, 17), date(2027, 2, 6), date(2028, 1, 26), date(2029, 2, 13)),
    *(date(2030, 2, 3), date(2031, 1, 23), date(2032, 2, 11), date(2033, 1, 31), date(2034, 2, 19)),
    date(2035, 2, 8),
)
