"""
Loads one job with dlt. With defaults, rows are parsed by dlt's own JSON module or Python's csv and yielded in
pages. Tuned, the files between are Parquet (DuckDB) or CSV (Postgres) and CSV is read by pyarrow, as dlt's
documentation recommends; buffers and workers come from the environment.
"""

import json as stdlib_json
import os
import sys

import dlt
from dlt.common import json
from rows import PAGE_ROWS, event_pages

job = stdlib_json.loads(sys.argv[1])
given, path, table = job["input"], job["path"], job["table"]
tuned = job.get("tuned", False)


def in_pages(rows):
    page = []
    for row in rows:
        page.append(row)
        if len(page) == PAGE_ROWS:
            yield page
            page = []
    if page:
        yield page


def open_file():
    if "s3" not in job:
        return open(path, "rb")
    import s3fs

    store = job["s3"]
    files = s3fs.S3FileSystem(
        key=store["accessKeyId"], secret=store["secretAccessKey"], endpoint_url=store["endpoint"]
    )
    return files.open(f"{store['bucket']}/{path}", "rb")


def read_file():
    if path.endswith(".jsonl"):
        with open_file() as lines:
            yield from in_pages(json.loadb(line) for line in lines)
    elif tuned:
        from pyarrow import csv as arrow_csv

        with open_file() as file:
            yield from arrow_csv.open_csv(file)
    else:
        import csv
        import io

        with open_file() as file:
            yield from in_pages(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline="")))


def resource():
    if given["kind"] == "rows" and "cursor" in given:

        def rows(updated_at=dlt.sources.incremental("updated_at")):
            yield from event_pages(job["rows"], given["cursor"])

        return dlt.resource(rows, name=table)
    if given["kind"] == "rows":
        return dlt.resource(lambda: event_pages(job["rows"]), name=table)
    if job.get("unchanged"):
        from dlt.sources.filesystem import filesystem, read_jsonl

        files = filesystem(
            bucket_url=f"file://{os.path.dirname(path)}",
            file_glob="*.jsonl",
            incremental=dlt.sources.incremental("modification_date"),
        )
        return (files | read_jsonl()).with_name(table)
    return dlt.resource(read_file, name=table)


def destination():
    if job["destination"] == "duckdb":
        return dlt.destinations.duckdb(job["address"])
    return dlt.destinations.postgres(job["address"])


pipeline = dlt.pipeline(
    "bench",
    pipelines_dir=os.path.join(job["folder"], "dlt"),
    destination=destination(),
    dataset_name="bench",
)
how = {"table_name": table}
if "primaryKey" in job:
    how |= {"write_disposition": "merge", "primary_key": job["primaryKey"]}
if tuned:
    how["loader_file_format"] = "parquet" if job["destination"] == "duckdb" else "csv"

if __name__ == "__main__":
    pipeline.run(resource(), **how).raise_on_failed_jobs()
