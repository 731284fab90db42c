"""Runs Python dlt over the cases of `inputs.py` and writes down what it produced.

    python test/golden/make.py [output folder] [--only text] [--jobs n]

The expectations are what dlt does, right or wrong. Where that is a known defect the case
says so in `defect`; nothing is corrected here. See README.md for the file format.
"""

import argparse
import base64
import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import zlib
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent

# A golden file must not depend on the machine it is made on: no telemetry, no settings found
# in the home directory, one worker so that rows land in the order they were yielded.
os.environ.update(
    RUNTIME__DLTHUB_TELEMETRY="false",
    RUNTIME__LOG_LEVEL="CRITICAL",
    LOAD__WORKERS="1",
    NORMALIZE__WORKERS="1",
    LOAD__RAISE_ON_MAX_RETRIES="1",
    TZ="UTC",
)

# The settings file is looked up from the working folder at import time.
os.chdir(tempfile.gettempdir())

import duckdb  # noqa: E402
import dlt  # noqa: E402
from dlt.common.json import custom_pua_decode_nested  # noqa: E402
from dlt.common.utils import digest128  # noqa: E402
from dlt.extract.hints import make_nested_hints  # noqa: E402
from dlt.pipeline.exceptions import PipelineStepFailed  # noqa: E402

sys.path.insert(0, str(HERE))
from inputs import CASES  # noqa: E402

RESOURCE_HINTS = (
    "table_name",
    "write_disposition",
    "primary_key",
    "merge_key",
    "columns",
    "max_table_nesting",
    "nested_hints",
    "schema_contract",
)


def decode(value):
    """Typed JSON (private-use prefixes) to Python values; leaves the input alone."""
    return custom_pua_decode_nested(json.loads(json.dumps(value)))


def pages_of(resource):
    texts = resource["pages"] if "pages" in resource else [resource["rows"]]
    return [custom_pua_decode_nested(json.loads(text)) for text in texts]


def build_resource(spec):
    def generate():
        for scope, values in spec.get("set_state", {}).items():
            state = dlt.current.resource_state() if scope == "resource" else dlt.current.source_state()
            state.update(decode(values))
        for page in pages_of(spec):
            yield page

    hints = {key: decode(spec[key]) for key in RESOURCE_HINTS if key in spec}
    if "nested_hints" in hints:
        # Unlike the columns of a resource, these are not given their names by dlt itself.
        hints["nested_hints"] = {
            path: make_nested_hints(**nested) for path, nested in hints["nested_hints"].items()
        }
    if "incremental" in spec:
        settings = dict(decode(spec["incremental"]))
        if "last_value_func" in settings:
            settings["last_value_func"] = {"max": max, "min": min}[settings["last_value_func"]]
        if isinstance(settings.get("primary_key"), list):
            settings["primary_key"] = tuple(settings["primary_key"])
        hints["incremental"] = dlt.sources.incremental(**settings)
    return dlt.resource(generate, name=spec["name"], **hints)


def build_source(case, run):
    def resources():
        return [build_resource(spec) for spec in run["resources"]]

    settings = decode(run.get("source", {}))
    name = run.get("source_name", case["source_name"])
    return dlt.source(resources, name=name, section=name, **settings)()


class Snapshot:
    """Reads a dataset and replaces what is random by names that only depend on the data."""

    def __init__(self, database, case, schema_name):
        self.db = duckdb.connect(database, read_only=True)
        self.db.execute("set timezone = 'UTC'")
        self.case = case
        self.dataset = case["pipeline"]["dataset"]
        self.schema_name = schema_name

    def query(self, sql, *values):
        return self.db.execute(sql, values).fetchall()

    def take(self):
        names = [
            row[0]
            for row in self.query(
                "select table_name from information_schema.tables where table_schema = ? order by 1",
                self.dataset,
            )
        ]
        if "_dlt_loads" not in names:
            return None
        data = self.dataset
        loads = self.query(f'select * from "{data}"._dlt_loads order by load_id')
        self.load_ids = {row[0]: f"load_{i + 1}" for i, row in enumerate(loads)}
        self.load_times = {load_time(load_id): token for load_id, token in self.load_ids.items()}
        versions = self.query(
            f'select version_hash, schema from "{data}"._dlt_version where schema_name = ?'
            " order by inserted_at desc",
            self.schema_name,
        )
        schemas = {}
        for name, text in self.query(f'select schema_name, schema from "{data}"._dlt_version order by inserted_at'):
            schemas[name] = json.loads(text)
        self.tables = {}
        for schema in schemas.values():
            for name, table in schema["tables"].items():
                self.tables[name] = {**table, "name": name}
        result = {"tables": self.read_tables([n for n in names if not n.startswith("_dlt")])}
        if self.case.get("dlt_tables"):
            result["dlt_tables"] = {n: self.columns(n) for n in names if n.startswith("_dlt")}
        schema = json.loads(versions[0][1])
        schema["tables"] = dict(sorted(schema["tables"].items()))
        result["schema"] = schema
        result["version_hash"] = versions[0][0]
        result["version_rows"] = len(versions)
        result.update(self.read_state(names))
        result["loads"] = [[row[1], row[2], row[4]] for row in loads]
        return result

    def read_state(self, names):
        rows = []
        if "_dlt_pipeline_state" in names:
            rows = self.query(
                f'select version, version_hash, state from "{self.dataset}"._dlt_pipeline_state'
                " where pipeline_name = ? order by _dlt_load_id desc",
                self.case["pipeline"]["name"],
            )
        if not rows:
            return {"state": None, "state_hash": None, "state_version": None, "state_rows": 0}
        version, version_hash, blob = rows[0]
        # dlt walks a set when it fills in the state, so the stored order of keys is random.
        state = json.loads(zlib.decompress(base64.b64decode(blob)))
        if sort_unique_hashes(state):
            # These come from a set as well, and their random order is part of the hash.
            version_hash = state["_version_hash"] = None
        return {
            "state": json.loads(json.dumps(state, sort_keys=True)),
            "state_hash": version_hash,
            "state_version": version,
            "state_rows": len(rows),
        }

    def columns(self, table):
        return [
            list(row)
            for row in self.query(
                "select column_name, data_type from information_schema.columns"
                " where table_schema = ? and table_name = ? order by ordinal_position",
                self.dataset,
                table,
            )
        ]

    def read_tables(self, names):
        self.found = {}
        for name in names:
            columns = self.columns(name)
            listed = ", ".join(as_text(column, sql_type) for column, sql_type in columns)
            rows = self.query(f'select {listed} from "{self.dataset}"."{name}" order by rowid')
            keys = [column for column, _ in columns]
            self.found[name] = {
                "columns": columns,
                "rows": [dict(zip(keys, map(to_text, row))) for row in rows],
            }
        self.tokens = {}
        self.order = {}
        for name in sorted(names, key=self.depth):
            self.canonicalize(name)
        return {name: {"columns": t["columns"], "rows": t["rows"]} for name, t in self.found.items()}

    def depth(self, name):
        parent = self.tables.get(name, {}).get("parent")
        return (1 + self.depth(parent)[0] if parent else 0, name)

    def canonicalize(self, name):
        parent = self.tables.get(name, {}).get("parent")
        table = self.found[name]
        keys = [column for column, _ in table["columns"]]
        if parent:
            known = self.order[parent]
            table["rows"].sort(key=lambda row: (known[row["_dlt_parent_id"]], int(row["_dlt_list_idx"])))
        else:
            table["rows"].sort(key=lambda row: self.sort_key(row, keys))
        real = name in self.case.get("real_ids", [])
        self.order[name] = {}
        seen = {}
        for position, row in enumerate(table["rows"]):
            row_id = row.get("_dlt_id")
            if row_id is None:
                continue
            # The same real id may come twice (a key hash in an scd2 table): both rows keep it.
            self.order[name].setdefault(row_id, position)
            if parent:
                wanted = digest128(f"{row['_dlt_parent_id']}_{name}_{row['_dlt_list_idx']}", 10)
                parent_token = self.tokens[row["_dlt_parent_id"]]
                if parent_token == row["_dlt_parent_id"]:
                    token = row_id
                else:
                    assert row_id == wanted, f"{self.case['name']}: nested id of {name} is not derived"
                    token = f"{parent_token}/{name}/{row['_dlt_list_idx']}"
            elif real:
                token = row_id
            else:
                key = self.sort_key(row, keys)
                if key in seen:
                    assert not self.has_children(seen[key], row_id), f"{self.case['name']}: equal rows with children"
                seen[key] = row_id
                token = f"row:{name}:{position}"
            self.tokens[row_id] = token
        hints = self.tables.get(name, {}).get("columns", {})
        for row in table["rows"]:
            for key in keys:
                value = row[key]
                if value is None:
                    continue
                if key == "_dlt_load_id":
                    row[key] = self.load_ids.get(value, "load_unfinished")
                elif key in ("_dlt_id", "_dlt_parent_id", "_dlt_root_id"):
                    row[key] = self.tokens[value]
                elif hints.get(key, {}).get("x-valid-from") or hints.get(key, {}).get("x-valid-to"):
                    row[key] = self.load_times.get(value, value)

    def sort_key(self, row, keys):
        """Data columns first, then the load: rows that differ in nothing else come in load order."""

        def part(key):
            value = row[key]
            if value is not None and key == "_dlt_load_id":
                value = "%06d" % int(self.load_ids.get(value, "load_999999")[5:])
            elif value in self.load_times:
                value = "!%06d" % int(self.load_times[value][5:])
            return (value is not None, (value or "").encode())

        ids = ("_dlt_id", "_dlt_parent_id", "_dlt_root_id")
        data = [key for key in keys if key not in ids and key != "_dlt_load_id"]
        return tuple(part(key) for key in data + [key for key in keys if key == "_dlt_load_id"])

    def has_children(self, *row_ids):
        return any(
            row.get("_dlt_parent_id") in row_ids for table in self.found.values() for row in table["rows"]
        )


def sort_unique_hashes(value):
    """Sorts the hash lists of cursors in place; says whether there was anything to sort."""
    if not isinstance(value, dict):
        return False
    found = [sort_unique_hashes(child) for child in value.values()]
    hashes = value.get("unique_hashes", [])
    hashes.sort()
    return any(found) or len(hashes) > 1


def load_time(load_id):
    moment = datetime.fromtimestamp(float(load_id), timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def as_text(column, sql_type):
    name = '"' + column.replace('"', '""') + '"'
    if sql_type == "DOUBLE":
        return name
    if sql_type == "BLOB":
        return f"lower(hex({name}))"
    if sql_type == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({name} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    if sql_type == "TIMESTAMP_NS":
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%n')"
    if sql_type.startswith("TIMESTAMP"):
        return f"strftime({name}::timestamp, '%Y-%m-%dT%H:%M:%S.%f')"
    return f"cast({name} as varchar)"


def to_text(value):
    return repr(value) if isinstance(value, float) else value


def innermost(error):
    """The class and message-free facts of the error a run ended with."""
    found = {"step": error.step, "exception": type(error.exception).__name__}
    cause = error.exception
    while cause.__cause__ is not None:
        cause = cause.__cause__
    found["cause"] = type(cause).__name__
    return found


def run_case(case):
    folder = tempfile.mkdtemp(prefix="golden")
    try:
        os.environ["DLT_DATA_DIR"] = folder
        os.environ.pop("SCHEMA__NAMING", None)
        if "naming" in case:
            os.environ["SCHEMA__NAMING"] = case["naming"]
        database = os.path.join(folder, "golden.duckdb")
        expect = []
        for number, run in enumerate(case["runs"]):
            home = os.path.join(folder, "pipelines")
            if run.get("fresh_working_folder"):
                shutil.rmtree(home)
            pipeline = dlt.pipeline(
                case["pipeline"]["name"],
                pipelines_dir=home,
                destination=dlt.destinations.duckdb(database),
                dataset_name=case["pipeline"]["dataset"],
            )
            error = None
            options = {key: decode(run[key]) for key in ("refresh", "schema_contract") if key in run}
            try:
                pipeline.run(build_source(case, run), **options)
            except PipelineStepFailed as failed:
                error = innermost(failed)
            if bool(error) != bool(run.get("fails")):
                raise AssertionError(f"run {number + 1}: {error}")
            snapshot = None
            if os.path.exists(database):
                reader = Snapshot(database, case, run.get("source_name", case["source_name"]))
                snapshot = reader.take()
                reader.db.close()
            expect.append({**({"error": error} if error else {}), **(snapshot or {"tables": {}})})
        return {
            "name": case["name"],
            "group": case["group"],
            "dlt_version": dlt.__version__,
            "duckdb_version": duckdb.__version__,
            "python_version": platform.python_version(),
            **{key: case[key] for key in case if key not in ("name", "group", "file")},
            "expect": expect,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def attempt(index):
    case = CASES[index]
    try:
        return index, run_case(case), None
    except Exception as error:  # the main process names the case and goes on to the others
        import traceback

        return index, None, "".join(traceback.format_exception(error)[-6:])


def to_json(case):
    """Two-space JSON, but one line for what is short or a table of dlt, so that diffs stay readable."""

    def write(value, indent, key=""):
        flat = json.dumps(value)
        own = key.startswith("_dlt_")
        if own or not isinstance(value, (dict, list)) or not value or len(flat) + indent <= 110:
            return flat
        pad = " " * (indent + 2)
        if isinstance(value, list):
            body = [pad + write(item, indent + 2) for item in value]
            return "[\n" + ",\n".join(body) + "\n" + " " * indent + "]"
        body = [f"{pad}{json.dumps(key)}: {write(item, indent + 2, key)}" for key, item in value.items()]
        return "{\n" + ",\n".join(body) + "\n" + " " * indent + "}"

    return write(case, 0) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", default=str(HERE / "cases"))
    parser.add_argument("--only", help="write only the cases whose group/file contains this text")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    options = parser.parse_args()
    chosen = [
        index
        for index, case in enumerate(CASES)
        if not options.only or options.only in f"{case['group']}/{case['file']}"
    ]
    paths = {}
    failures = 0
    # One case per process: dlt keeps pipelines, state and settings in module globals.
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for index, result, error in pool.imap_unordered(attempt, chosen):
            case = CASES[index]
            path = Path(options.output) / case["group"] / f"{case['file']}.json"
            if error:
                failures += 1
                print(f"FAILED {case['group']}/{case['file']}\n{error}", file=sys.stderr)
                continue
            paths[path] = to_json(result)
    if failures:
        sys.exit(f"{failures} of {len(chosen)} cases failed; nothing written")
    if not options.only:
        for old in Path(options.output).glob("*/*.json"):
            if old not in paths:
                old.unlink()
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print(f"{len(paths)} cases written")


if __name__ == "__main__":
    main()
