"""The rows of bench/rows.ts, from a generator in Python."""

from datetime import datetime, timezone

PAGE_ROWS = 5000
NOTES = [
    (f"note {i}: " + "load extract normalize schema table column größe " * 2)[: 60 + i % 20] for i in range(97)
]


def event_row(i):
    spread = (i * 7919) % 100_000
    created = datetime.fromtimestamp(1_600_000_000 + (i * 7) % 150_000_000, timezone.utc)
    return {
        "id": i,
        "account": spread,
        "quantity": (i * 31) % 1000,
        "big": 1_000_000_000_000 + i * 1000,
        "price": (spread * 100 + 1 + spread % 99) / 100,
        "rate": (1 + (i * 104_729) % 999_999) / 1e6,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "active": i % 2 == 0,
        "code": f"C-{(i * 48_271) % 2_147_483_647}",
        "note": None if i % 10 == 0 else f"{NOTES[i % 97]} {i}",
    }


def event_pages(rows, cursor=None):
    for start in range(0, rows, PAGE_ROWS):
        page = [event_row(i) for i in range(start, min(start + PAGE_ROWS, rows))]
        if cursor is not None:
            for row in page:
                row["updated_at"] = 1_700_000_000 + (0 if cursor == "one" else row["id"])
        yield page
