"""One step of the interop script on dlt's side: runs the source in the shop's shape, prints what dlt sees as JSON.

usage: step.py DATABASE PIPELINES_DIR FROM TO [fresh] [coarse]
DATABASE is a DuckDB file or the URL of a Postgres database.
Orders FROM..TO-1, each with items; merge on id, cursor on n. With `fresh` the working folder is deleted first, so that
dlt has to restore state and schema from the destination. With `coarse` the resource is `events`, appended by a cursor
that all its rows share.
"""

import json
import shutil
import sys

import dlt
from dlt.common.schema import utils


def orders_between(first, last):
    for n in range(first, last):
        yield {
            "id": n % 130,
            "n": n,
            "name": f"order {n}",
            "price": n / 4 + 0.125,
            "at": f"2026-01-01T00:{n // 60 % 60:02d}:{n % 60:02d}Z",
            "items": [{"sku": f"s{i}", "amount": i} for i in range(n % 4)],
        }


def main():
    database, folder, first, last, *flags = sys.argv[1:]
    if "fresh" in flags:
        shutil.rmtree(folder, ignore_errors=True)
    seen = []

    @dlt.resource(name="orders", write_disposition="merge", primary_key="id")
    def orders(cursor=dlt.sources.incremental("n")):
        seen.append(cursor.last_value)
        yield list(orders_between(int(first), int(last)))

    @dlt.resource(name="events", write_disposition="append")
    def events(cursor=dlt.sources.incremental("day")):
        seen.append(cursor.last_value)
        yield [{"id": n, "day": 1} for n in range(int(first), int(last))]

    @dlt.source(name="shop")
    def shop():
        return events if "coarse" in flags else orders

    remote = database.startswith("postgresql://")
    destination = dlt.destinations.postgres(database) if remote else dlt.destinations.duckdb(database)
    pipeline = dlt.pipeline("shop_pipeline", destination=destination, dataset_name="shop_data", pipelines_dir=folder)
    pipeline.sync_destination()
    restored = pipeline.state.get("_state_version")
    info = pipeline.run(shop())
    schema = pipeline.schemas["shop"]
    with pipeline.sql_client() as client:
        with client.execute_query("select schema, version_hash from _dlt_version where schema_name = 'shop' order by inserted_at desc limit 1") as rows:
            text, stored_hash = rows.fetchone()
    stored = json.loads(text)
    # computed from the stored schema's content, whatever hash stands in it
    computed = utils.generate_version_hash(stored)
    print(
        json.dumps(
            {
                "packages": len(info.loads_ids) if info else 0,
                "cursor_before": seen[0] if seen else None,
                "restored_version": restored,
                "state_version": pipeline.state["_state_version"],
                "computed_hash": computed,
                "stored_hash": stored_hash,
                "schema_hash_in_dlt": schema.stored_version_hash,
            }
        )
    )


main()
