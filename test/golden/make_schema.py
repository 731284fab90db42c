"""Writes schema.json: schemas with their hashes, migrations and states as dlt makes them."""
import copy
import datetime
import pathlib

from dlt.common.json import json
from dlt.common.schema import Schema
from dlt.common.schema.utils import generate_version_hash, new_table, pipeline_state_table
from dlt.common.versioned_state import compress_state
from dlt.pipeline.state_sync import bump_pipeline_state_version_if_modified

col = lambda name, type_=None, **k: {"name": name, **({"data_type": type_} if type_ else {}), "nullable": True, **k}

def full():
    s = Schema("shop")
    s.update_table(new_table("users", write_disposition="merge", columns=[
        col("id", "bigint", primary_key=True), col("name", "text", precision=20), col("amount", "decimal", precision=10, scale=2), col("at", "timestamp", timezone=False),
        col("hint_only"), col("doc", "json"), col("gone", "bool", hard_delete=True), col("id__v_text", "text", variant=True), {**col("x", "text"), "x-custom": {"b": 1.0, "a": [1, None]}}]))
    s.update_table({**new_table("users__tags", "users", columns=[col("value", "text"), col("_dlt_id", "text", unique=True, row_key=True), col("_dlt_parent_id", "text", parent_key=True)])})
    # past the naming convention: names that sort differently by UTF-16 unit and by code point
    for name in ["\uffff_last", "\U0001f642_last"]:
        s._schema_tables[name] = {**new_table(name, columns=[col("2", "text"), col("1", "text"), col("\U0001f642", "json"), col("_dlt_id", "text", unique=True, row_key=True)]), "x-normalizer": {"seen-data": True}}
    s.update_table(pipeline_state_table())
    return s

stored, steps = [], []
s = Schema("test")
stored.append(copy.deepcopy(s.to_dict()))
s = full()
stored.append(copy.deepcopy(s.to_dict()))
first = copy.deepcopy(stored[-1])
s._bump_version()
for i in range(13):
    s.update_table({"name": "users", "columns": {f"c{i}": col(f"c{i}", "text")}})
    d = copy.deepcopy(s.to_dict()); s._bump_version()
    steps.append([d["version"], d["version_hash"], list(d["previous_hashes"])])
s.set_schema_contract("freeze"); s.data_item_normalizer.extend_schema()
s._settings["preferred_types"] = {"re:_at$": "timestamp"}
s._schema_description = "d"; s._imported_version_hash = "h"
stored.append(copy.deepcopy(s.to_dict()))

old = []
for engine in [10, 9, 8, 7, 6, 5, 4]:
    d = copy.deepcopy(first)
    d["engine_version"] = engine
    if engine <= 9:
        t = d["tables"]["users__tags"]["columns"]
        t["_dlt_parent_id"].pop("parent_key"); t["_dlt_parent_id"]["foreign_key"] = True
        for table in d["tables"].values():
            table["columns"].get("_dlt_id", {}).pop("row_key", None)
        t["deep"] = col("deep", "complex"); t["nulls"] = {**col("nulls"), "x-normalizer": {"seen-null-first": True}}
        t["value"]["x-normalizer"] = {"seen-null-first": True}
        d["settings"]["preferred_types"] = {"re:x": "complex"}
        h = d["settings"]["default_hints"]; h.pop("row_key"); h.pop("parent_key"); h["foreign_key"] = ["_dlt_parent_id"]
        d["normalizers"]["json"]["config"] = {"generate_dlt_id": True, "max_nesting": 2}
    if engine <= 8:
        d["tables"]["\uffff_last"].pop("x-normalizer")
    if engine <= 7:
        d.pop("previous_hashes")
    if engine <= 6:
        d["settings"]["schema_sealed"] = False; d["tables"]["users"]["table_sealed"] = True
    if engine <= 4:
        d["tables"].pop("_dlt_loads"); d["tables"].pop("_dlt_version")
    d["previous_hashes" if engine > 7 else "description"] = [] if engine > 7 else "old"
    d["version"] = 5; d["version_hash"] = "old-hash"
    before = json.dumps(d)
    m = Schema.from_dict(copy.deepcopy(d)).to_dict()
    old.append([before, json.dumps(m)])

state = {"_state_version": 0, "_state_engine_version": 4, "pipeline_name": "p", "dataset_name": "d", "schema_names": ["p"], "sources": {"p": {"resources": {"r": {"incremental": {"at": {
    "last_value": datetime.datetime(2024, 1, 2, 3, 4, 5, 6, datetime.timezone.utc), "unique_hashes": [], "n": 1.0}}}}, "10": 1, "9": 2}}, "_local": {"first_run": False}}
states = []
for n in range(3):
    state["sources"]["p"]["n"] = n // 2
    bump_pipeline_state_version_if_modified(state)
    blob = compress_state({k: v for k, v in state.items() if k != "_local"})
    states.append([json.typed_dumps(state), state["_state_version"], state["_version_hash"], blob])
pathlib.Path(__file__).with_name("schema.json").write_text(json.dumps({
    "stored": [[json.dumps(d), generate_version_hash(d)] for d in stored], "steps": steps, "old": old, "states": states,
    "state_table": json.dumps(pipeline_state_table())}), encoding="utf-8")
