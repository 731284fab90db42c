"""Loads one file with dlt: lines parsed by its own JSON module, yielded in pages. Prints its peak memory and CPU time."""

import json as stdlib_json
import resource
import sys

import dlt
from dlt.common import json

PAGE_ROWS = 5000
file, database, working_dir, table = sys.argv[1:]


def pages():
    if file.endswith(".csv"):
        import csv

        with open(file, newline="", encoding="utf-8") as lines:
            page = []
            for row in csv.DictReader(lines):
                page.append(row)
                if len(page) == PAGE_ROWS:
                    yield page
                    page = []
            if page:
                yield page
        return
    with open(file, "rb") as lines:
        page = []
        for line in lines:
            page.append(json.loadb(line))
            if len(page) == PAGE_ROWS:
                yield page
                page = []
        if page:
            yield page


pipeline = dlt.pipeline(
    "bench",
    pipelines_dir=working_dir,
    destination=dlt.destinations.duckdb(database),
    dataset_name="bench",
)
pipeline.run(dlt.resource(pages, name=table), table_name=table).raise_on_failed_jobs()
used = resource.getrusage(resource.RUSAGE_SELF)
told = {"peak_mb": round(used.ru_maxrss / 1024), "cpu_seconds": used.ru_utime + used.ru_stime, "steps": {}}
print(stdlib_json.dumps(told))
