"""What the golden cases load. `make.py` runs these and writes down the outcome.

A case is a claim, the runs that show it, and nothing else: keep rows few and values plain.
"""

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

from dlt.common.json import custom_pua_encode
from dlt.common.libs.hexbytes import HexBytes
from dlt.common.wei import Wei

CASES = []


def text(rows):
    """Typed JSON with number tokens kept: 1.0 stays 1.0, 2**63 - 1 stays exact."""
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"), default=custom_pua_encode)


def plain(value):
    return json.loads(text(value))


def res(name, *pages, **hints):
    """A resource that yields one list of rows, or several pages of them."""
    body = {"rows": text(pages[0])} if len(pages) == 1 else {"pages": [text(page) for page in pages]}
    return {"name": name, **plain(hints), **body}


def run(*resources, **options):
    return {**plain(options), "resources": list(resources)}


def case(group, file, name, *runs, **options):
    CASES.append(
        {
            "name": name,
            "group": group,
            "file": file,
            "pipeline": {"name": options.pop("pipeline", "shop_pipeline"), "dataset": options.pop("dataset", "shop_data")},
            "source_name": options.pop("source_name", "shop"),
            **options,
            "runs": list(runs),
        }
    )


def items(group, file, name, *rows_per_run, hints=None, **options):
    """A case with one resource `items` whose hints are the same in every run."""
    case(group, file, name, *[run(res("items", rows, **(hints or {}))) for rows in rows_per_run], **options)


UTC = timezone.utc
NOON = datetime(2024, 3, 1, 12, 0, 0, tzinfo=UTC)
PLUS2 = timezone(timedelta(hours=2))

# ---------------------------------------------------------------------------------- naming

items("naming", "camel_case", "camelCase and PascalCase keys become snake_case columns",
      [{"fooBar": 1, "UserID": 2, "HTTPServer": 3, "getHTTPResponse": 4, "iD": 5, "AbC": 6, "ABC": 7, "a1B2": 8, "SmallLove1Stars": 9}])
items("naming", "symbols", "operator characters become letters and other symbols one underscore",
      [{"e+e": 1, "a*b": 2, "price@home": 3, "x|y": 4, "kebab-case-x": 5, "first.name": 6, "$ref": 7, "a%": 8, "(x)": 9, "+1": 10, "-x-": 11}])
items("naming", "digits_first", "a leading digit gets an underscore in front",
      [{"1stPlace": 1, "123": 2, "2024-01-02": 3, "v2": 4}])
items("naming", "unicode_keys", "letters outside ASCII collapse to one underscore, trailing ones to x",
      [{"naïve": 1, "user🙂": 2, "日本": 3, "İstanbul": 4, "straße": 5}])
items("naming", "spaces", "surrounding whitespace is dropped and inner whitespace is an underscore",
      [{" First Name ": 1, "last\tname": 2, "two  spaces": 3}])
items("naming", "trailing_underscores", "each trailing underscore of a key becomes an x",
      [{"id_": 1, "name__": 2, "size_x": 3}])
items("naming", "inner_double_underscore", "a double underscore in a key separates path parts that are normalized alone",
      [{"fooBar__bazQux": 1, "a__b": 2, "a___b": 3, "__id": 4}])
items("naming", "reserved_words", "SQL keywords stay as they are and are quoted",
      [{"select": 1, "from": "x", "order": 2, "group": True, "table": "t"}])
items("naming", "empty_key", "an empty key becomes the column _empty", [{"": 1, "a": 2}])
items("naming", "collision_same_row", "of two keys with the same normalized name the later one wins",
      [{"fooBar": 1, "foo_bar": 2}], defect=16)
items("naming", "collision_nested_over_scalar", "a flattened value wins over a scalar of the same column name",
      [{"a__b": "scalar", "a": {"b": "nested"}}], defect=16)
items("naming", "collision_across_rows", "spellings of one column in different rows land in the same column",
      [{"id": 1, "fooBar": 1}, {"id": 2, "foo_bar": 2}, {"id": 3, "FooBar": 3}])
case("naming", "table_from_resource", "the table is named by the normalized resource name",
     run(res("UserEvents", [{"id": 1, "Tags": ["a"]}])))
case("naming", "table_name_hint", "table_name replaces the resource name and is normalized too",
     run(res("events", [{"id": 1, "lines": [{"n": 1}]}], table_name="Event-Log 2024")))
case("naming", "two_resources_one_table", "two resources with the same table_name fill one table",
     run(res("first", [{"id": 1, "a": "x"}], table_name="both"), res("second", [{"id": 2, "b": 2.5}], table_name="both")))
items("naming", "nested_table_names", "nested tables and columns join normalized parts by two underscores",
      [{"orderLines": [{"itemSku": "a", "unitPrice": {"perPiece": 1.5}, "Discount Codes": ["x"]}]}])
items("naming", "dlt_prefix_in_data", "a key that starts with _dlt but is not reserved is an ordinary column",
      [{"id": 1, "_dlt_note": "mine"}])
items("naming", "load_id_in_data", "a _dlt_load_id in the data is overwritten by the id of the load",
      [{"id": 1, "_dlt_load_id": "mine"}])
case("naming", "source_and_schema_name", "the schema takes the name of the source, the dataset that of the pipeline call",
     run(res("a", [{"id": 1}])), source_name="my_source", pipeline="other_name", dataset="elsewhere")
items("naming", "long_column", "a column name of 80 characters is kept on DuckDB", [{"a" * 80: 1}])

for convention in ["duck_case", "direct", "sql_cs_v1", "sql_ci_v1"]:
    case("naming", f"convention_{convention}", f"{convention} names tables, nested tables, flattened columns and keys",
         run(res("UserEvents", [{"User ID": 1, "unitPrice": {"perPiece": 2.5}, "orderLines": [{"Sku-Code": "a", "tags": ["x"]}], "naïve": True}],
                 primary_key="User ID", write_disposition="merge")),
         run(res("UserEvents", [{"User ID": 1, "unitPrice": {"perPiece": 3.5, "Cur": "EUR"}, "orderLines": [{"Sku-Code": "b"}]}],
                 primary_key="User ID", write_disposition="merge")),
         naming=convention)

# ----------------------------------------------------------------------------------- types

items("types", "json_scalars", "text, whole numbers, fractions and booleans get text, bigint, double and bool",
      [{"s": "x", "i": 1, "f": 1.5, "b": True}, {"s": "", "i": -7, "f": -0.25, "b": False}])
items("types", "float_that_is_whole", "1.0 in the first row makes a double column and 1 a bigint column",
      [{"f": 1.0, "i": 1}, {"f": 2, "i": 2.0}])
items("types", "big_integers", "integers up to both ends of 64 bits are kept exactly",
      [{"n": 9223372036854775807}, {"n": -9223372036854775808}, {"n": 9007199254740993}])
items("types", "large_and_small_doubles", "doubles keep their shortest representation",
      [{"id": 1, "f": 1e20}, {"id": 2, "f": 1.5e-7}, {"id": 3, "f": 0.1}, {"id": 4, "f": 123456789.125}, {"id": 5, "f": -0.0}, {"id": 6, "f": 1.7976931348623157e308}])
items("types", "iso_timestamp_text", "text that is an ISO timestamp with a time part becomes a timestamp",
      [{"a": "2024-01-02T03:04:05Z", "b": "2024-01-02T03:04:05.123456+02:00", "c": "2024-01-02 03:04:05", "d": "2024-01-02T03:04"}])
items("types", "iso_timestamp_lookalikes", "plain dates, times and near misses stay text",
      [{"a": "2024-01-02", "b": "03:04:05", "c": "2024-01-02T03:04:05z", "d": " 2024-01-02T03:04:05Z", "e": "20240102", "f": "1/2/2024", "g": "2024-1-2T03:04:05", "h": "2024-01-02T25:04:05Z"}])
items("types", "iso_timestamp_forms", "compact, slashed, comma and short offset forms are timestamps as dlt decides",
      [{"a": "20240102T030405Z", "b": "2024/01/02 03:04:05", "c": "2024-01-02T03:04:05,123Z", "d": "2024-01-02T03:04:05+0200", "e": "2024-01-02T03:04:05+02", "f": "2024-01-02T03", "g": "2024-01-02T03:04:05.123456789Z"}])
items("types", "timestamp_decided_by_first_value", "the first value decides that a column is a timestamp, later text is converted",
      [{"id": 1, "t": "2024-01-02T03:04:05Z"}, {"id": 2, "t": "2024-01-03"}, {"id": 3, "t": "1704164645"}])
items("types", "text_decided_by_first_value", "a column that starts as text keeps later ISO timestamps as text",
      [{"id": 1, "t": "soon"}, {"id": 2, "t": "2024-01-02T03:04:05Z"}])
items("types", "text_column_takes_all", "a text column takes numbers, booleans and typed values as text",
      [{"id": 1, "v": "x"}, {"id": 2, "v": 1}, {"id": 3, "v": 1.0}, {"id": 4, "v": True}, {"id": 5, "v": Decimal("1.50")}, {"id": 6, "v": date(2024, 1, 2)}, {"id": 7, "v": NOON}, {"id": 8, "v": time(3, 4, 5)}, {"id": 9, "v": b"\x00\xff"}, {"id": 10, "v": 1e20}])
items("types", "typed_values", "typed values get decimal, timestamp, date, time, binary, wei and text for uuid",
      [{"dec": Decimal("1.50"), "ts": NOON, "d": date(2024, 1, 2), "t": time(3, 4, 5, 678000), "bin": b"\x00\x01\xff", "hex": HexBytes("0xdeadbeef"), "wei": Wei("1000000000000000000"), "u": UUID("12345678-1234-5678-1234-567812345678")}])
items("types", "decimals", "decimals keep nine places by default",
      [{"id": 1, "d": Decimal("0")}, {"id": 2, "d": Decimal("-12345.678901234")}, {"id": 3, "d": Decimal("1E+3")}, {"id": 4, "d": Decimal("99999999999999999999999999999")}])
items("types", "wei_values", "wei keeps whole numbers beyond 64 bits",
      [{"id": 1, "w": Wei("100000000000000000000000000000")}, {"id": 2, "w": Wei("-5")}])
items("types", "aware_datetimes", "typed datetimes with an offset are stored as the same moment in UTC",
      [{"id": 1, "t": NOON}, {"id": 2, "t": datetime(2024, 3, 1, 14, 0, 0, 250000, tzinfo=PLUS2)}])
items("types", "naive_datetimes", "typed datetimes without an offset are read as UTC",
      [{"id": 1, "t": datetime(2024, 3, 1, 12, 0, 0)}, {"id": 2, "t": datetime(2024, 3, 1, 12, 0, 0, 5)}])
items("types", "mixed_datetimes", "a naive typed datetime in a column of aware ones is read as UTC",
      [{"id": 1, "t": NOON}, {"id": 2, "t": datetime(2024, 3, 1, 12, 0, 0)}])
items("types", "unicode_text", "text keeps every character, quotes, backslashes and line ends",
      [{"id": 1, "s": "ünïcödé 日本 🙂"}, {"id": 2, "s": "it's \"quoted\" \\ back"}, {"id": 3, "s": "line\nfeed\r\ttab"}, {"id": 4, "s": ""}, {"id": 5, "s": " "}])
items("types", "null_only_column", "a column that is always null does not exist", [{"id": 1, "n": None}, {"id": 2, "n": None}])
items("types", "null_first", "a null before the first value does not decide the type",
      [{"id": 1, "v": None}, {"id": 2, "v": 1.5}, {"id": 3}])
case("types", "scalar_items", "items that are not objects become rows with a column value",
     run(res("numbers", [1, 2, 3]), res("words", ["a", "b"]), res("stamps", ["2024-01-02T03:04:05Z"])))
items("types", "bigint_column_coercions", "a bigint column takes whole doubles, decimals and numeric text",
      [{"id": 1, "v": 1}, {"id": 2, "v": 2.0}, {"id": 3, "v": "3"}, {"id": 4, "v": " 4 "}, {"id": 5, "v": "0x10"}, {"id": 6, "v": Decimal("6")}, {"id": 7, "v": "1_000"}])
items("types", "double_column_coercions", "a double column takes integers, decimals and numeric text",
      [{"id": 1, "v": 1.5}, {"id": 2, "v": 2}, {"id": 3, "v": "3.25"}, {"id": 4, "v": Decimal("4.5")}, {"id": 5, "v": "1e3"}])
items("types", "bool_column_coercions", "a bool column takes yes and no words and numbers",
      [{"id": 1, "v": True}, {"id": 2, "v": "yes"}, {"id": 3, "v": "F"}, {"id": 4, "v": 0}, {"id": 5, "v": 2.5}, {"id": 6, "v": "1"}])
items("types", "hinted_coercions", "hinted columns convert text into their type",
      [{"id": 1, "ts": "2024-01-02", "d": "2024-01-02", "t": "03:04:05", "dec": "1.50", "w": "7", "b": "yes", "bi": "12", "dbl": "1.5", "bin": "AAH/", "tx": 5}],
      hints={"columns": {"ts": {"data_type": "timestamp"}, "d": {"data_type": "date"}, "t": {"data_type": "time"}, "dec": {"data_type": "decimal"}, "w": {"data_type": "wei"}, "b": {"data_type": "bool"}, "bi": {"data_type": "bigint"}, "dbl": {"data_type": "double"}, "bin": {"data_type": "binary"}, "tx": {"data_type": "text"}}})
items("types", "numbers_into_times", "unix seconds convert to timestamps and dates when the column says so",
      [{"id": 1, "ts": 1704164645, "d": 1704164645}, {"id": 2, "ts": 1704164645.25, "d": NOON}, {"id": 3, "ts": date(2024, 1, 2), "d": "2024-01-02T23:00:00-05:00"}],
      hints={"columns": {"ts": {"data_type": "timestamp"}, "d": {"data_type": "date"}}})
items("types", "hex_into_binary", "0x text and base64 text convert to binary when the column says so",
      [{"id": 1, "v": "0xdeadbeef"}, {"id": 2, "v": "AAH/"}, {"id": 3, "v": b"\x01"}],
      hints={"columns": {"v": {"data_type": "binary"}}})

# -------------------------------------------------------------------------------- variants

items("variants", "int_then_text", "text that is no number goes to a text variant of a bigint column",
      [{"id": 1, "v": 1}, {"id": 2, "v": "abc"}, {"id": 3, "v": "12"}])
items("variants", "int_then_fraction", "a fraction goes to a double variant of a bigint column",
      [{"id": 1, "v": 1}, {"id": 2, "v": 1.5}, {"id": 3, "v": 2.0}])
items("variants", "int_then_bool", "a boolean goes to a bool variant of a bigint column",
      [{"id": 1, "v": 1}, {"id": 2, "v": True}])
items("variants", "double_then_text_and_bool", "text and booleans go to variants of a double column",
      [{"id": 1, "v": 1.5}, {"id": 2, "v": "abc"}, {"id": 3, "v": False}])
items("variants", "bool_then_text", "text that is no truth word goes to a text variant of a bool column",
      [{"id": 1, "v": True}, {"id": 2, "v": "maybe"}])
items("variants", "timestamp_then_text", "text that is no time goes to a text variant of a timestamp column",
      [{"id": 1, "v": "2024-01-02T03:04:05Z"}, {"id": 2, "v": "soon"}, {"id": 3, "v": True}])
items("variants", "int_then_timestamp", "a typed timestamp goes to a timestamp variant of a bigint column",
      [{"id": 1, "v": 1}, {"id": 2, "v": NOON}])
items("variants", "date_then_text", "text that is no date goes to a text variant of a date column",
      [{"id": 1, "v": date(2024, 1, 2)}, {"id": 2, "v": "2024-01-03"}, {"id": 3, "v": "never"}])
items("variants", "several_variants", "one column may have several variants, made in the order they are met",
      [{"id": 1, "v": 1}, {"id": 2, "v": "abc"}, {"id": 3, "v": 1.5}, {"id": 4, "v": True}, {"id": 5, "v": 7}])
items("variants", "int_then_object", "an object where a number was flattens beside the number",
      [{"id": 1, "v": 1}, {"id": 2, "v": {"a": 1}}])
items("variants", "int_then_list", "a list where a number was becomes a nested table beside the number",
      [{"id": 1, "v": 1}, {"id": 2, "v": ["x"]}])
items("variants", "json_column_receiving_scalars", "a json column takes objects and lists, other values go to variants",
      [{"id": 1, "v": {"a": [1]}}, {"id": 2, "v": [1, "b"]}, {"id": 3, "v": 5}, {"id": 4, "v": "text"}, {"id": 5, "v": "{\"b\": 1}"}],
      hints={"columns": {"v": {"data_type": "json"}}})
items("variants", "variant_in_second_run", "a variant column is added by a later run and kept by the next",
      [{"id": 1, "v": 1}], [{"id": 2, "v": "abc"}], [{"id": 3, "v": "def"}, {"id": 4, "v": 4}])
items("variants", "variant_name_taken", "a data column with the name of a variant takes the values of the variant",
      [{"id": 1, "v": 1, "v__v_text": "mine"}, {"id": 2, "v": "abc"}])
items("variants", "decimal_then_text", "decimal columns take numbers and numeric text, other text is a variant",
      [{"id": 1, "v": Decimal("1.5")}, {"id": 2, "v": 2}, {"id": 3, "v": "2.25"}, {"id": 4, "v": "abc"}])
items("variants", "variant_in_nested_table", "nested tables have variants of their own",
      [{"id": 1, "lines": [{"n": 1}, {"n": "abc"}]}, {"id": 2, "lines": [{"n": 2}]}])

# --------------------------------------------------------------------------------- nesting

items("nesting", "flattening_order", "scalars come first, then nested objects from the last to the first",
      [{"b": {"x": 1, "c": {"q": 2}}, "a": 3, "z": {"y": 4}, "m": 5}])
items("nesting", "list_of_objects", "a list of objects becomes a nested table with parent id and index",
      [{"_dlt_id": "one", "id": 1, "lines": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 2}]}, {"_dlt_id": "two", "id": 2, "lines": [{"sku": "c", "qty": 3}]}], real_ids=["items"])
items("nesting", "list_of_scalars", "a list of scalars becomes a nested table with the column value",
      [{"_dlt_id": "one", "id": 1, "tags": ["red", "blue"]}], real_ids=["items"])
items("nesting", "list_of_lists", "a list of lists becomes a table of lists with a table of values below",
      [{"_dlt_id": "one", "id": 1, "grid": [[1, 2], [3]]}], real_ids=["items"])
items("nesting", "ids_from_random_roots", "nested ids follow from the parent id, the table and the index",
      [{"id": 1, "lines": [{"sku": "a", "taxes": [{"t": 1}, {"t": 2}]}, {"sku": "b", "taxes": [{"t": 3}]}]}, {"id": 2, "lines": [{"sku": "c"}]}])
items("nesting", "deep", "five levels of lists make five tables",
      [{"_dlt_id": "one", "a": [{"b": [{"c": [{"d": [{"e": 1}]}]}]}]}], real_ids=["items"])
items("nesting", "empty_list_and_object", "empty lists and empty objects leave nothing", [{"id": 1, "l": [], "o": {}, "p": {"q": {}}}])
items("nesting", "empty_list_after_filled", "a row with an empty list has no nested rows",
      [{"id": 1, "l": ["x"]}, {"id": 2, "l": []}, {"id": 3, "l": None}])
items("nesting", "nulls_in_list", "null items of a list are rows without a value",
      [{"_dlt_id": "one", "id": 1, "l": [None, "x", None]}], real_ids=["items"])
items("nesting", "only_nulls_in_list", "a list of nulls only", [{"_dlt_id": "one", "id": 1, "l": [None, None]}], real_ids=["items"])
items("nesting", "mixed_list", "a list may hold scalars, objects and lists at once",
      [{"_dlt_id": "one", "id": 1, "l": [1, {"a": "x"}, [True], "y"]}], real_ids=["items"])
items("nesting", "object_in_list_in_object", "a list below an object is named by the whole path",
      [{"_dlt_id": "one", "id": 1, "o": {"p": {"list": [{"v": {"w": 1}}]}}}], real_ids=["items"])
NEST = [{"_dlt_id": "one", "id": 1, "o": {"p": {"q": 1.0}}, "l": [{"a": {"b": 1}, "c": [1, {"d": None}]}]}]
for level in (0, 1, 2, 3):
    items("nesting", f"max_table_nesting_{level}", f"max_table_nesting {level} on the resource keeps what is deeper as json",
          NEST, hints={"max_table_nesting": level}, real_ids=["items"])
case("nesting", "max_table_nesting_of_source", "max_table_nesting of the source applies to resources without their own",
     run(res("items", NEST), res("deep_items", NEST, max_table_nesting=2), source={"max_table_nesting": 0}), real_ids=["items", "deep_items"])
items("nesting", "json_keeps_typed_values", "typed values inside a json column are written as their text",
      [{"id": 1, "j": {"d": Decimal("1.50"), "t": NOON, "n": datetime(2024, 3, 1), "day": date(2024, 1, 2), "f": 1.0, "i": 9007199254740993, "u": "ü", "z": None, "b": b"\x01"}}],
      hints={"max_table_nesting": 0})
case("nesting", "root_key_of_source", "root_key adds _dlt_root_id to nested tables of append resources",
     run(res("items", [{"_dlt_id": "one", "id": 1, "l": [{"m": ["x"]}]}]), source={"root_key": True}), real_ids=["items"])
items("nesting", "nested_hints_columns", "nested_hints give hints to a column of a nested table",
      [{"_dlt_id": "one", "id": 1, "lines": [{"n": 1, "price": "1.5"}]}],
      hints={"nested_hints": {"lines": {"columns": {"price": {"data_type": "decimal", "precision": 10, "scale": 2}}}}}, real_ids=["items"])
items("nesting", "nested_hints_primary_key", "a nested table with a primary key of its own is no longer below its parent",
      [{"_dlt_id": "one", "id": 1, "lines": [{"n": 1, "m": ["x"]}]}],
      hints={"nested_hints": {"lines": {"primary_key": "n", "write_disposition": "merge"}}}, real_ids=["items"])
items("nesting", "nested_rows_before_root_columns", "columns of nested tables come in the order they are met over all parents",
      [{"id": 1, "l": [{"b": 1}]}, {"id": 2, "l": [{"a": 2, "b": 3}, {"c": 4}]}])

# ---------------------------------------------------------------------------- dispositions

A, B, C = {"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 3, "v": "c"}
items("dispositions", "append", "append keeps the rows of every run", [A, B], [B, C])
items("dispositions", "replace", "replace keeps the rows of the last run only", [A, B], [C], hints={"write_disposition": "replace"})
items("dispositions", "replace_by_nothing", "replace by no rows empties the table", [A, B], [], hints={"write_disposition": "replace"})
items("dispositions", "replace_with_nested", "replace empties nested tables that get no rows",
      [{"id": 1, "l": ["x", "y"]}], [{"id": 2}], hints={"write_disposition": "replace"})
items("dispositions", "append_then_replace", "a resource may go from append to replace", [A])
CASES[-1]["runs"].append(run(res("items", [B], write_disposition="replace")))
case("dispositions", "one_resource_empty", "a resource without rows does not touch the table of another",
     run(res("a", [A]), res("b", [B], write_disposition="replace")), run(res("a", []), res("b", [C], write_disposition="replace")))
MERGE = {"write_disposition": "merge", "primary_key": "id"}
items("dispositions", "merge_primary_key", "merge replaces rows with the same primary key and adds the others",
      [A, B], [{"id": 2, "v": "b2"}, C], hints=MERGE)
items("dispositions", "merge_composite_key", "a composite primary key matches when all its columns match",
      [{"a": 1, "b": 1, "v": "x"}, {"a": 1, "b": 2, "v": "y"}], [{"a": 1, "b": 2, "v": "z"}, {"a": 2, "b": 1, "v": "w"}],
      hints={"write_disposition": "merge", "primary_key": ["a", "b"]})
items("dispositions", "merge_nested", "merge replaces the nested rows of replaced roots and keeps the others",
      [{"id": 1, "l": [{"n": 1}]}, {"id": 2, "l": [{"n": 2}]}], [{"id": 1, "l": [{"n": 10}, {"n": 11}]}], hints=MERGE)
items("dispositions", "merge_shrinking_list", "nested rows that are gone from a merged root are deleted at every level",
      [{"id": 1, "l": [{"n": 1, "m": ["a", "b"]}, {"n": 2, "m": ["c"]}]}, {"id": 2, "l": [{"n": 3, "m": ["d"]}]}],
      [{"id": 1, "l": [{"n": 1, "m": ["a"]}]}], [{"id": 1, "l": []}], hints=MERGE)
items("dispositions", "merge_duplicate_identical", "identical duplicates of a key in one load leave one row",
      [{"id": 1, "v": "x"}, {"id": 1, "v": "x"}, {"id": 2, "v": "y"}], hints=MERGE)
for order, keeps in (("desc", "greatest"), ("asc", "smallest")):
    items("dispositions", f"dedup_sort_{order}", f"dedup_sort {order} keeps the row with the {keeps} value per key",
          [{"id": 1, "n": 1, "v": "x"}, {"id": 1, "n": 3, "v": "z"}, {"id": 1, "n": 2, "v": "y"}], [{"id": 1, "n": 5, "v": "q"}, {"id": 1, "n": 4, "v": "p"}],
          hints={**MERGE, "columns": {"n": {"dedup_sort": order}}})
items("dispositions", "dedup_sort_with_nested", "only the nested rows of the kept duplicate are loaded",
      [{"id": 1, "n": 1, "l": ["old"]}, {"id": 1, "n": 2, "l": ["new", "newer"]}],
      hints={**MERGE, "columns": {"n": {"dedup_sort": "desc"}}})
GONE = {**MERGE, "columns": {"gone": {"hard_delete": True, "data_type": "bool"}}}
items("dispositions", "hard_delete_bool", "a true hard_delete flag deletes the row, false and null keep it",
      [{"id": 1, "v": "a", "gone": False}, {"id": 2, "v": "b", "gone": None}, {"id": 3, "v": "c", "gone": True}],
      [{"id": 1, "v": "a", "gone": True}, {"id": 2, "v": "b2", "gone": False}], hints=GONE)
items("dispositions", "hard_delete_timestamp", "a hard_delete column that is no bool deletes when it has a value",
      [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}], [{"id": 1, "v": "a", "gone_at": NOON}],
      hints={**MERGE, "columns": {"gone_at": {"hard_delete": True, "data_type": "timestamp"}}})
items("dispositions", "hard_delete_nested", "a hard delete takes the nested rows along",
      [{"id": 1, "gone": False, "l": ["a"]}, {"id": 2, "gone": False, "l": ["b"]}], [{"id": 1, "gone": True}], hints=GONE)
items("dispositions", "hard_delete_and_dedup_sort", "the newest of several changes decides about the deletion",
      [{"id": 1, "n": 1, "gone": False}, {"id": 1, "n": 2, "gone": True}, {"id": 2, "n": 1, "gone": True}, {"id": 2, "n": 2, "gone": False}],
      hints={**MERGE, "columns": {"n": {"dedup_sort": "desc"}, "gone": {"hard_delete": True}}})
items("dispositions", "merge_key", "a merge key replaces all rows of the group and keeps duplicates in the load",
      [{"day": 1, "v": "a"}, {"day": 1, "v": "b"}, {"day": 2, "v": "c"}], [{"day": 1, "v": "d"}, {"day": 1, "v": "d"}],
      hints={"write_disposition": "merge", "merge_key": "day"})
items("dispositions", "merge_key_and_primary_key", "rows that match the merge key or the primary key are replaced",
      [{"day": 1, "id": 1}, {"day": 1, "id": 2}, {"day": 2, "id": 3}], [{"day": 1, "id": 3}, {"day": 3, "id": 4}],
      hints={"write_disposition": "merge", "merge_key": "day", "primary_key": "id"})
items("dispositions", "merge_deduplicated_flag", "deduplicated true loads duplicates as they come",
      [{"id": 1, "v": "x"}, {"id": 1, "v": "y"}], hints={"write_disposition": {"disposition": "merge", "strategy": "delete-insert", "deduplicated": True}, "primary_key": "id"})
items("dispositions", "merge_without_key", "merge without a key appends", [A], [A], hints={"write_disposition": "merge"}, defect=12)
UPSERT = {"write_disposition": {"disposition": "merge", "strategy": "upsert"}, "primary_key": "id"}
items("dispositions", "upsert", "upsert updates matching rows in place and inserts the others",
      [A, B], [{"id": 2, "v": "b2"}, C], hints=UPSERT, real_ids=["items"])
items("dispositions", "upsert_nested", "upsert updates, adds and deletes nested rows",
      [{"id": 1, "l": [{"n": 1}, {"n": 2}]}, {"id": 2, "l": [{"n": 3}]}], [{"id": 1, "l": [{"n": 10}]}, {"id": 3, "l": [{"n": 4}]}],
      hints=UPSERT, real_ids=["items"])
items("dispositions", "upsert_typed_key", "the key hash of an upsert is over the typed values of a composite key",
      [{"id": 1, "day": date(2024, 1, 2), "t": NOON, "v": 1}], [{"id": 1, "day": date(2024, 1, 2), "t": NOON, "v": 2}],
      hints={"write_disposition": {"disposition": "merge", "strategy": "upsert"}, "primary_key": ["id", "day", "t"]}, real_ids=["items"])
items("dispositions", "upsert_hard_delete", "upsert deletes rows whose hard_delete flag is true",
      [{"id": 1, "gone": False, "l": ["a"]}, {"id": 2, "gone": False, "l": ["b"]}], [{"id": 1, "gone": True}],
      hints={**UPSERT, "columns": {"gone": {"hard_delete": True}}}, real_ids=["items"])
items("dispositions", "upsert_duplicate_keys", "upsert with one key twice in a load",
      [{"id": 1, "v": "x"}, {"id": 1, "v": "y"}], hints=UPSERT, real_ids=["items"], defect=10)
items("dispositions", "insert_only", "insert-only keeps the rows that are there",
      [A, {"id": 2, "v": "b", "l": ["x"]}], [{"id": 2, "v": "b2", "l": ["y", "z"]}, C],
      hints={"write_disposition": {"disposition": "merge", "strategy": "insert-only"}, "primary_key": "id"}, real_ids=["items"])
SCD2 = {"disposition": "merge", "strategy": "scd2"}
case("dispositions", "scd2", "scd2 retires changed and missing rows at the boundary and keeps the rest",
     *[run(res("items", rows, write_disposition={**SCD2, "boundary_timestamp": stamp}))
       for rows, stamp in (([A, B, C], "2024-01-01T00:00:00Z"), ([A, {"id": 2, "v": "b2"}], "2024-02-01T00:00:00Z"), ([A, B], "2024-03-01T00:00:00Z"))],
     real_ids=["items"])
case("dispositions", "scd2_load_time", "without a boundary the time of the load is used",
     run(res("items", [A, B], write_disposition=SCD2)), run(res("items", [A], write_disposition=SCD2)), real_ids=["items"])
case("dispositions", "scd2_nested", "the row hash of scd2 covers nested values",
     *[run(res("items", rows, write_disposition={**SCD2, "boundary_timestamp": stamp}))
       for rows, stamp in (([{"id": 1, "l": [{"B": 1, "a": "ü"}]}, {"id": 2, "l": []}], "2024-01-01T00:00:00Z"), ([{"id": 1, "l": [{"B": 2, "a": "ü"}]}, {"id": 2, "l": []}], "2024-02-01T00:00:00Z"))],
     real_ids=["items"])
case("dispositions", "scd2_merge_key", "with a merge key only rows of the groups in the load are retired",
     *[run(res("items", rows, merge_key="id", write_disposition={**SCD2, "boundary_timestamp": stamp}))
       for rows, stamp in (([A, B], "2024-01-01T00:00:00Z"), ([{"id": 1, "v": "a2"}], "2024-02-01T00:00:00Z"))],
     real_ids=["items"])
case("dispositions", "scd2_typed_values", "typed and plain values enter the scd2 row hash in their typed form",
     run(res("items", [{"Id": 1, "d": datetime(2024, 1, 2, tzinfo=UTC), "f": 1.0, "k": [{"B": 1, "a": "ü"}], "n": None, "x": Decimal("1.50")}],
             write_disposition={**SCD2, "boundary_timestamp": "2024-01-01T00:00:00Z"})), real_ids=["items"])
case("dispositions", "scd2_column_names", "scd2 takes other names for its columns and for active rows",
     *[run(res("items", rows, write_disposition={**SCD2, "validity_column_names": ["since", "until"], "active_record_timestamp": "9999-12-31", "boundary_timestamp": stamp}))
       for rows, stamp in (([A, B], "2024-01-01T00:00:00Z"), ([A], "2024-02-01T00:00:00Z"))],
     real_ids=["items"])

# ----------------------------------------------------------------------------- incremental

def inc(file, name, *rows_per_run, hints=None, fails=None, **cursor):
    runs = [run(res("events", rows, incremental=cursor, **(hints or {}))) for rows in rows_per_run]
    for number in fails or []:
        runs[number - 1]["fails"] = True
    case("incremental", file, name, *runs)


def at(*ns):
    return [{"id": n, "n": n} for n in ns]


inc("max", "rows at or below the last value are not loaded again", at(1, 3, 2), at(2, 3, 4), at(4, 5), cursor_path="n")
inc("min", "with min the cursor goes down", at(5, 4, 6), at(4, 3, 7), cursor_path="n", last_value_func="min")
inc("initial_value", "rows below the initial value are dropped", at(1, 2, 3), at(3, 4), cursor_path="n", initial_value=2)
inc("no_new_rows", "a run without new rows leaves the state as it is", at(1, 2), at(1, 2), [], cursor_path="n")
inc("boundary_new_row", "a new row with the last value is loaded, the known one is not",
    [{"id": 1, "n": 1}, {"id": 2, "n": 2}], [{"id": 2, "n": 2}, {"id": 3, "n": 2}], [{"id": 2, "n": 2}, {"id": 3, "n": 2}, {"id": 4, "n": 3}], cursor_path="n")
inc("boundary_primary_key", "with a primary key a changed row at the boundary counts as known",
    [{"id": 1, "n": 1, "v": "x"}], [{"id": 1, "n": 1, "v": "changed"}, {"id": 2, "n": 1, "v": "y"}], cursor_path="n", hints={"primary_key": "id"})
inc("boundary_composite_key", "a composite primary key is hashed as a list",
    [{"a": 1, "b": "x", "n": 1}], [{"a": 1, "b": "x", "n": 1}, {"a": 1, "b": "y", "n": 1}], cursor_path="n", primary_key=["a", "b"])
inc("boundary_no_dedup", "an empty primary key loads boundary rows again", at(1, 2), at(2, 3), cursor_path="n", primary_key=[])
inc("own_primary_key", "the primary key of the cursor wins over the one of the resource",
    [{"id": 1, "k": "a", "n": 1}], [{"id": 2, "k": "a", "n": 1}, {"id": 3, "k": "b", "n": 1}], cursor_path="n", primary_key="k", hints={"primary_key": "id"})
inc("open_start", "an open start drops rows equal to the last value", at(1, 2), [{"id": 9, "n": 2}, {"id": 3, "n": 3}], cursor_path="n", range_start="open")
inc("end_value_open", "an end value is excluded and nothing is remembered", at(1, 2, 3, 4, 5), at(2, 3), cursor_path="n", initial_value=2, end_value=4)
inc("end_value_closed", "a closed end includes the end value", at(1, 2, 3, 4, 5), cursor_path="n", initial_value=2, end_value=4, range_end="closed")
inc("end_value_open_start", "an open start with an end value drops the initial value", at(1, 2, 3, 4, 5), cursor_path="n", initial_value=2, end_value=4, range_start="open", range_end="closed")
inc("end_value_min", "with min the end value is the lower bound", at(1, 2, 3, 4, 5), cursor_path="n", initial_value=4, end_value=2, last_value_func="min")
inc("lag_integer", "a lag loads rows again that are within it of the last value", at(1, 5, 10), at(7, 8, 11), at(8, 9, 12), cursor_path="n", lag=2)
inc("lag_not_below_initial", "a lag does not reach below the initial value", at(5, 6), at(3, 4, 5, 7), cursor_path="n", lag=10, initial_value=5)
inc("lag_datetime", "a lag on a timestamp is in seconds",
    [{"id": 1, "n": NOON}], [{"id": 2, "n": NOON - timedelta(seconds=30)}, {"id": 3, "n": NOON - timedelta(seconds=90)}, {"id": 4, "n": NOON + timedelta(seconds=1)}],
    cursor_path="n", lag=60)
inc("lag_date", "a lag on a date is in days",
    [{"id": 1, "n": date(2024, 3, 10)}], [{"id": 2, "n": date(2024, 3, 8)}, {"id": 3, "n": date(2024, 3, 7)}, {"id": 4, "n": date(2024, 3, 11)}], cursor_path="n", lag=2)
inc("lag_text_datetime", "a lag on timestamp text keeps the format of the text",
    [{"id": 1, "n": "2024-03-10T12:00:00Z"}], [{"id": 2, "n": "2024-03-10T11:59:30Z"}, {"id": 3, "n": "2024-03-10T11:58:30Z"}, {"id": 4, "n": "2024-03-10T12:00:01Z"}], cursor_path="n", lag=60)
inc("lag_merge", "rows within the lag replace what merge has loaded before",
    [{"id": 1, "n": 1, "v": "a"}, {"id": 2, "n": 5, "v": "b"}], [{"id": 2, "n": 4, "v": "late"}, {"id": 1, "n": 1, "v": "too late"}], cursor_path="n", lag=2, hints=MERGE)
inc("missing_include", "rows without a cursor value are loaded when included", [{"id": 1, "n": 1}, {"id": 2, "n": None}, {"id": 3}], [{"id": 4}, {"id": 1, "n": 1}], cursor_path="n", on_cursor_value_missing="include")
inc("missing_exclude", "rows without a cursor value are dropped when excluded", [{"id": 1, "n": 1}, {"id": 2, "n": None}, {"id": 3}], cursor_path="n", on_cursor_value_missing="exclude")
inc("missing_raise_key", "a row without the cursor key fails the run and nothing is loaded", at(1), [{"id": 2, "n": 2}, {"id": 3}], at(2), cursor_path="n", fails=[2])
inc("missing_raise_null", "a null cursor fails the run and nothing is loaded", at(1), [{"id": 2, "n": None}], cursor_path="n", fails=[2])
inc("nested_cursor", "a JSONPath cursor looks into nested objects", [{"id": 1, "meta": {"at": 1}}, {"id": 2, "meta": {"at": 2}}], [{"id": 2, "meta": {"at": 2}}, {"id": 3, "meta": {"at": 3}}], cursor_path="meta.at")
inc("jsonpath_cursor", "a JSONPath with a list index uses the value found there", [{"id": 1, "l": [{"n": 5}, {"n": 9}]}], [{"id": 2, "l": [{"n": 4}]}, {"id": 3, "l": [{"n": 6}]}], cursor_path="$.l[0].n")
inc("source_spelling", "the cursor path uses the names of the source, not the normalized ones", [{"id": 1, "updatedAt": 1}], [{"id": 1, "updatedAt": 1}, {"id": 2, "updatedAt": 2}], cursor_path="updatedAt")
inc("text_cursor", "text cursors compare as text", [{"id": 1, "n": "b"}, {"id": 2, "n": "a"}], [{"id": 1, "n": "b"}, {"id": 3, "n": "ba"}, {"id": 4, "n": "B"}], cursor_path="n")
inc("double_cursor", "double cursors are kept as doubles in the state", [{"id": 1, "n": 1.0}, {"id": 2, "n": 2.5}], [{"id": 2, "n": 2.5}, {"id": 3, "n": 3.0}], cursor_path="n")
inc("timestamp_text_cursor", "timestamp text is compared and remembered as text", [{"id": 1, "n": "2024-01-02T03:04:05Z"}], [{"id": 1, "n": "2024-01-02T03:04:05Z"}, {"id": 2, "n": "2024-01-03T00:00:00Z"}], cursor_path="n")
inc("typed_timestamp_cursor", "typed timestamps are remembered as typed values", [{"id": 1, "n": NOON}], [{"id": 1, "n": NOON}, {"id": 2, "n": NOON + timedelta(hours=1)}], cursor_path="n", initial_value=datetime(2024, 1, 1, tzinfo=UTC))
inc("date_cursor", "typed dates are remembered as typed values", [{"id": 1, "n": date(2024, 1, 2)}], [{"id": 1, "n": date(2024, 1, 2)}, {"id": 2, "n": date(2024, 1, 3)}], cursor_path="n")
inc("decimal_cursor", "typed decimals are remembered as typed values", [{"id": 1, "n": Decimal("1.50")}], [{"id": 1, "n": Decimal("1.50")}, {"id": 2, "n": Decimal("1.75")}], cursor_path="n")
case("incremental", "naive_cursor_aware_initial", "a naive row is compared with an aware initial value",
     run(res("events", [{"id": 1, "n": datetime(2023, 12, 31)}, {"id": 2, "n": datetime(2024, 1, 2)}], incremental={"cursor_path": "n", "initial_value": datetime(2024, 1, 1, tzinfo=UTC)})), defect=22)
case("incremental", "row_order_asc_stops", "with ascending rows the resource is closed after the page that passes the end",
     run(res("events", at(1, 2), at(3, 4), at(5, 6), at(2), incremental={"cursor_path": "n", "initial_value": 1, "end_value": 4, "row_order": "asc"})))
case("incremental", "row_order_desc_stops", "with descending rows the resource is closed after the page that falls below the start",
     run(res("events", at(3, 2), at(1), incremental={"cursor_path": "n", "row_order": "desc"})),
     run(res("events", at(6, 5), at(4, 2), at(9), incremental={"cursor_path": "n", "row_order": "desc"})))
case("incremental", "pages", "the boundary is kept over pages of one run",
     run(res("events", at(1, 2), at(2, 3), [{"id": 33, "n": 3}], incremental={"cursor_path": "n"})),
     run(res("events", [{"id": 33, "n": 3}], at(3, 4), incremental={"cursor_path": "n"})))
inc("replace_forgets", "replace forgets the cursor at each run", at(1, 2), at(1, 3), cursor_path="n", hints={"write_disposition": "replace"})
inc("merge_cursor", "merge with a cursor updates rows that changed", [{"id": 1, "n": 1, "v": "a"}, {"id": 2, "n": 2, "v": "b"}], [{"id": 1, "n": 3, "v": "a2"}, {"id": 2, "n": 2, "v": "skipped"}], cursor_path="n", hints=MERGE)
case("incremental", "two_cursors", "each resource has a cursor of its own",
     *[run(res("a", at(*ns), incremental={"cursor_path": "n"}), res("b", at(*ms), incremental={"cursor_path": "id"})) for ns, ms in (((1, 2), (5,)), ((2, 3), (5, 6)))])
inc("mixed_types_fail", "a cursor that changes its type fails the run", at(1), [{"id": 2, "n": "abc"}], cursor_path="n", fails=[2])

# ----------------------------------------------------------------------------------- state

case("state", "resource_state", "resource state is stored under the source and the resource",
     run(res("items", [A], set_state={"resource": {"seen": 1, "when": NOON, "list": [1.0, "ü"]}})),
     run(res("items", [B], set_state={"resource": {"seen": 2}})), dlt_tables=True)
case("state", "source_state", "source state is stored under the source",
     run(res("items", [A], set_state={"source": {"token": "abc"}})), run(res("items", [B])))
case("state", "unchanged_state_not_resent", "a state that did not change is not stored again",
     run(res("items", [A], set_state={"resource": {"k": 1}})), run(res("items", [B], set_state={"resource": {"k": 1}})))
case("state", "replace_drops_resource_state", "replace drops the resource state but not the source state",
     run(res("items", [A], set_state={"resource": {"k": 1}, "source": {"s": 1}})),
     run(res("items", [B], write_disposition="replace", set_state={"source": {"s": 2}})))
case("state", "restored_from_destination", "a new working folder takes state and schema from the destination",
     run(res("events", at(1, 2), incremental={"cursor_path": "n"})),
     {**run(res("events", at(2, 3), incremental={"cursor_path": "n"})), "fresh_working_folder": True})
case("state", "two_sources", "two sources have two schemas and one state",
     run(res("items", [A], set_state={"source": {"k": 1}})),
     {**run(res("orders", [B], set_state={"source": {"k": 2}})), "source_name": "second"})
case("state", "empty_first_run", "a first run without rows", run(res("items", [])), run(res("items", [A])))
for mode, claim in (("drop_sources", "all tables and the state of the source"), ("drop_resources", "tables and state of the loaded resources"), ("drop_data", "rows and state of the loaded resources")):
    case("state", f"refresh_{mode}", f"refresh {mode} drops {claim}",
         run(res("a", at(1, 2), incremental={"cursor_path": "n"}, set_state={"source": {"s": 1}}), res("b", [{"id": 1, "l": ["x"]}])),
         {**run(res("a", [{"id": 1, "n": 1, "extra": True}], incremental={"cursor_path": "n"})), "refresh": mode})

# ------------------------------------------------------------------------------- evolution

items("evolution", "new_column", "a new key adds a column at the end, old rows have null", [A], [{"id": 2, "v": "b", "w": 1.5}])
items("evolution", "missing_column", "a key that is gone leaves nulls in new rows", [A], [{"id": 2}])
items("evolution", "new_column_in_batch", "a key first seen in a later row of the first load adds its column behind the dlt columns", [A, {"id": 2, "v": "b", "w": True}])
items("evolution", "new_nested_table", "a list in a later run adds a nested table", [A], [{"id": 2, "v": "b", "l": [{"n": 1}]}])
items("evolution", "new_nested_column", "a nested table gets new columns", [{"id": 1, "l": [{"n": 1}]}], [{"id": 2, "l": [{"n": 2, "m": "x"}]}])
case("evolution", "new_table", "a new resource adds its table", run(res("a", [A])), run(res("a", [B]), res("b", [C])))
items("evolution", "null_column_filled_later", "a column that was only null appears when it has a value", [{"id": 1, "n": None}], [{"id": 2, "n": "x"}])
items("evolution", "scalar_becomes_object", "a scalar that becomes an object keeps its column beside the flattened ones", [{"id": 1, "v": 1}], [{"id": 2, "v": {"a": "x"}}])
items("evolution", "object_becomes_list", "an object that becomes a list keeps its columns beside the nested table", [{"id": 1, "v": {"a": "x"}}], [{"id": 2, "v": [{"a": "y"}]}])
case("evolution", "hint_changes_type", "a data_type hint that changes later changes the schema only",
     run(res("items", [{"id": 1, "v": 1}])), run(res("items", [{"id": 2, "v": 2}], columns={"v": {"data_type": "text"}})), defect=13)
case("evolution", "hint_before_data", "a hinted column without values is made in the first run, filled in the second",
     *[run(res("items", rows, columns={"later": {"data_type": "decimal"}})) for rows in ([A], [{"id": 2, "later": Decimal("2.5")}])])
case("evolution", "append_to_merge", "a flat table may go from append to merge", run(res("items", [A, B])), run(res("items", [{"id": 1, "v": "a2"}], **MERGE)))
case("evolution", "append_to_merge_nested", "a table with nested tables goes from append to merge",
     run(res("items", [{"id": 1, "l": ["x"]}])), run(res("items", [{"id": 1, "l": ["y"]}], **MERGE), fails=True), defect=11)
case("evolution", "same_schema_same_version", "a run without changes stores no new schema version", run(res("items", [A])), run(res("items", [B])), run(res("items", [C])))
for part, mode in (("tables", "discard_row"), ("columns", "discard_row"), ("columns", "discard_value"), ("data_type", "discard_row"), ("data_type", "discard_value")):
    second = {"tables": [{"id": 2, "v": 2, "l": ["x"]}], "columns": [{"id": 2, "v": 2, "w": "new"}, {"id": 3, "v": 3}], "data_type": [{"id": 2, "v": "abc"}, {"id": 3, "v": 3}]}[part]
    case("evolution", f"contract_{part}_{mode}", f"the contract {mode} for {part} drops what does not fit" + (", even the first table" if part == "tables" else ""),
         *[run(res("items", rows, schema_contract={part: mode})) for rows in ([{"id": 1, "v": 1}], second)])
for part in ("tables", "columns", "data_type"):
    first, second = [{"id": 1, "v": 1}], {"tables": [{"id": 2, "v": 2, "l": ["x"]}], "columns": [{"id": 2, "w": "new"}], "data_type": [{"id": 2, "v": "abc"}]}[part]
    case("evolution", f"contract_{part}_freeze", f"the contract freeze for {part} fails the run",
         run(res("items", first)), run(res("items", second, schema_contract={part: "freeze"}), fails=True), defect=3)

# ----------------------------------------------------------------------------------- hints

items("hints", "hinted_columns_first", "hinted columns come first in the order of the hints",
      [{"a": 1, "b": 2, "c": 3}], hints={"columns": {"c": {"data_type": "double"}, "b": {"data_type": "text"}}})
items("hints", "incomplete_hint", "a hinted column without a type moves behind those met before its first value",
      [{"a": 1, "b": 2, "c": 3}], hints={"columns": {"c": {"nullable": True, "description": "the third"}}})
items("hints", "not_null", "a column that is not nullable takes values and keeps its place", [A, B], hints={"columns": {"v": {"nullable": False}}})
case("hints", "null_in_not_null", "a null in a column that is not nullable fails the run",
     run(res("items", [A], columns={"v": {"nullable": False}})), run(res("items", [{"id": 2, "v": None}], columns={"v": {"nullable": False}}), fails=True), defect=3)
items("hints", "primary_key", "a primary key is not nullable and no constraint on append", [A, A], hints={"primary_key": "id"})
items("hints", "primary_key_order", "a composite key does not change the order of the columns",
      [{"v": 1, "b": 2, "a": 3}], hints={"primary_key": ["a", "b"], "write_disposition": "merge"})
items("hints", "bigint_precision", "the precision of a bigint picks the integer type",
      [{"p8": 1, "p16": 2, "p32": 3, "p64": 4, "p128": 5}], hints={"columns": {f"p{n}": {"data_type": "bigint", "precision": n} for n in (8, 16, 32, 64, 128)}})
items("hints", "decimal_precision_scale", "precision and scale of a decimal are used",
      [{"a": Decimal("1.25"), "b": Decimal("2"), "c": "3.14159"}], hints={"columns": {"a": {"data_type": "decimal", "precision": 10, "scale": 2}, "b": {"data_type": "decimal", "precision": 5, "scale": 0}, "c": {"data_type": "decimal", "precision": 12}}})
items("hints", "timestamp_precision", "naive timestamps of each precision get the matching DuckDB type",
      [{f"p{n}": "2024-01-02T03:04:05.123456Z" for n in (0, 3, 6, 9)}],
      hints={"columns": {f"p{n}": {"data_type": "timestamp", "timezone": False, "precision": n} for n in (0, 3, 6, 9)}})
items("hints", "timezone_false", "timezone false stores the UTC moment without a zone",
      [{"id": 1, "t": "2024-01-02T03:04:05+02:00"}, {"id": 2, "t": "2024-01-02T03:04:05"}], hints={"columns": {"t": {"data_type": "timestamp", "timezone": False}}})
items("hints", "timezone_false_typed", "an aware typed datetime in a column with timezone false",
      [{"id": 1, "t": datetime(2024, 1, 2, 3, 4, 5, tzinfo=PLUS2)}, {"id": 2, "t": datetime(2024, 1, 2, 3, 4, 5)}], hints={"columns": {"t": {"data_type": "timestamp", "timezone": False}}})
items("hints", "timezone_true", "timezone true reads a time without a zone as UTC",
      [{"id": 1, "t": "2024-01-02T03:04:05+02:00"}, {"id": 2, "t": "2024-01-02T03:04:05"}], hints={"columns": {"t": {"data_type": "timestamp", "timezone": True}}})
items("hints", "text_precision", "the precision of a text column is only in the schema", [{"s": "longer than five"}], hints={"columns": {"s": {"data_type": "text", "precision": 5}}})
items("hints", "unique", "unique is only in the schema on DuckDB", [A, A], hints={"columns": {"id": {"unique": True}}})
items("hints", "description_and_custom", "descriptions and x- hints are stored with the column", [A], hints={"columns": {"v": {"description": "the value", "x-owner": "ops"}}})
items("hints", "json_stops_flattening", "a column hinted as json takes objects and lists whole",
      [{"id": 1, "o": {"a": {"b": 1.0}}, "l": [1, {"c": None}]}, {"id": 2, "o": None, "l": []}], hints={"columns": {"o": {"data_type": "json"}, "l": {"data_type": "json"}}})
items("hints", "json_nested_path", "a json hint on a flattened path keeps that part whole",
      [{"id": 1, "o": {"a": {"b": 1}, "c": 2}}], hints={"columns": {"o__a": {"data_type": "json"}}})
items("hints", "hint_in_source_spelling", "hints given in source spelling meet the normalized column", [{"fooBar": "1"}], hints={"columns": {"fooBar": {"data_type": "bigint"}}})
items("hints", "sort_partition_cluster", "sort, partition and cluster are stored with the column", [{"id": 1, "day": "2024-01-02", "k": 1}],
      hints={"columns": {"id": {"sort": True}, "day": {"partition": True}, "k": {"cluster": True}}})
case("hints", "hints_change_later", "hints of a later run are merged over the stored ones",
     run(res("items", [A], columns={"v": {"description": "old"}})), run(res("items", [B], columns={"v": {"description": "new", "x-extra": 1}})))
case("hints", "primary_key_moves", "another primary key in a later run takes the place of the first",
     run(res("items", [{"a": 1, "b": 1}], primary_key="a", write_disposition="merge")), run(res("items", [{"a": 1, "b": 2}], primary_key="b", write_disposition="merge")))
items("hints", "only_hints_no_rows", "hints without rows make no table", [], hints={"columns": {"v": {"data_type": "text"}}})
