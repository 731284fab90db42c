"""Writes coerce.json: what dlt's coerce_value makes of a matrix of values, and what its detector accepts."""
import base64
import datetime
import json as std
import math
import pathlib
import random
from decimal import Decimal

from dlt.common.data_types.type_helpers import coerce_value, py_type_to_sc_type
from dlt.common.json import custom_pua_decode, json
from dlt.common.schema.detections import is_iso_timestamp
from dlt.common.time import UNIX_EPOCH, normalize_timezone, ensure_pendulum_time

random.seed(3)
TYPES = ["text", "bigint", "double", "decimal", "wei", "bool", "json", "timestamp", "date", "time", "binary"]
P = lambda i, s: chr(0xF026 + i) + s

texts = [
    "", " ", "abc", "1", " 1 ", "+1", "-1", "007", "1_000", "_1", "1__0", "1.0", "1.5", "-0", "1e5", "1E-7", ".5", "5.", "0x10", "0xZZ", "0x", "0X10", "0x0xff", "0x-1", " 0xff ", "0xf",
    "0x 01 02", "0x0 1", "9223372036854775807", "-9223372036854775808", "nan", "inf", "-Infinity", "1e400", "\u0661\u0662", "\u0661.5", "1 2", "1,5", "--1", "1e", "e5",
    "yes", "YES", "True", "t", "y", "no", "False", "F", "n", "0", "on", " true", "2",
    "{\"a\":1.0}", "[1,2]", "null", "true", "\"x\"", "{bad", "1 ", "NaN", "[1e20,0.1]",
    "AAEC", "AAE=", "AA==", "AAE", "A===", "aGVsbG8=", "aGVs bG8=", "aR==", "====", "abcd", "ab-_", "\u00e9\u00e9\u00e9\u00e9",
    "2024-01-02T03:04:05Z", "2024-01-02T03:04:05", "2024-01-02 03:04:05", "2024-01-02T03:04:05+02:00", "2024-01-02T03:04:05+0200", "2024-01-02T03:04:05+02", "2024-01-02T03:04:05-05:30",
    "2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05,123", "2024-01-02T03", "2024-01-02T03:04", "2024-01-02T03Z", "20240102T030405Z", "20240102T03:04", "20240102T03:04:05", "20240102T0304", "2024-01-02T030405",
    "2024/01/02 03:04:05", "2024/01/02", "2024:01:02 03:04", "2024-01-02", "2024-01", "2024", "202401", "20240102", "2024-W01-1T03:04:05", "2024W011T030405", "2024-W01", "2024-W53", "2020-W53-7", "2024-W01-1", "2024W01", "2024W538",
    "2024-002T03:04:05", "2024-366", "2023-366", "2024002", "2024002T03", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00",
    "2024-02-29T00:00:00", "2023-02-29T00:00:00", "2024-13-01T00:00:00", "2024-01-32T00:00:00", "2024-01-02T24:00:00", "2024-01-02T25:00:00", "2024-01-02T03:60:00", "2024-01-02T03:04:60", "2024-01-02t03:04:05z", " 2024-01-02T03:04:05", "2024-01-02T03:04:05 ",
    "2024-1-2T03:04:05", "1/2/2024", "03:04:05", "03:04", "T03:04:05", "T030405", "T03:04", "T03", "03:04:05.5", "03:04:05+02:00", "03:04:05Z", "3:04", "3:4:5", "23:59:59.999999", "24:00", "00:30+01:00", "12:00-24:00", "03", "0304",
    "1700000000", "1700000000.5", "-1", "1e9", "99999999999999", "12345678", "1234567", "123456", "20240:1", "2024 03:04", "2024 3:4", "20240102 03:04:05", "20240102 3:04:05|5", "2024-01-02T03:04:05+24:00", "2024-01-02T03:04:05+23:59", "2024-01-02T03:04:05-25:00",
    "2024-01-02T03:04:05.", "2024-01-02T", "2024-01-02T03:", "2024-01-02T03:04:", "2024-01-02T03:04:05+", "2024-01-02T03:04:05+02:", "2024-01-02T03:04:05+02:0", "2024-01-02T03:04:05ZZ", "P1D", "2024-01-02/2024-01-03", "2024-01-02T03:04:05\n", "1000-01-01T00:00:00.000001",
    "2262-04-11T23:47:16.854775807Z", "1969-12-31T23:59:59.999999Z", "2024-01-02T03:04:05 +02:00", "2024-01-02 03:04:05 UTC", "2024-01-02T03:04:05.1+05", "2024-01T03:04", "19991231T235959,9", "1900-02-29T00:00", "2000-02-29T00:00",
]
pieces = ["20", "24", "-", "01", "02", "T", " ", ":", "03", "5", "Z", "+", "W", ".", "/", "99", "0"]
while len(texts) < 1200:
    base = list(random.choice(texts[90:]))
    for _ in range(random.randint(1, 2)):
        at = random.randrange(len(base) + 1)
        if random.random() < 0.5 and at < len(base):
            base[at] = random.choice(pieces)
        elif random.random() < 0.5 and at < len(base):
            del base[at]
        else:
            base.insert(at, random.choice(pieces))
    texts.append("".join(base))
values = [1, 0, -1, 255, 256, 2**40, 2**53, 2**53 + 1, 2**63 - 1, -2**63, 1700000000, 99999999999999, -62135596800, 253402300799, 253402300800,
  0.0, -0.0, 1.0, 2.5, -1.5, 1e20, 1e16, 1e15, 1e-5, 1e-4, 0.1, 1e300, 5e-324, 1700000000.5, 1700000000.123456, 0.0000005, 0.0000015, -0.5, -0.0000015, 1.9999999, True, False,
  {"a": 1, "b": [1.0, None, "x"]}, [], [1, {"c": P(0, "1.50")}], {}, {"t": P(1, "2024-01-02T00:00:00+00:00"), "m": chr(0xF02E) + "x"},
  P(0, "1.50"), P(0, "1"), P(0, "-2.00"), P(0, "1E+5"), P(0, "1E-7"), P(0, "0E-9"), P(0, "0"), P(0, "-0"), P(0, "12345678901234567890123.5"), P(0, "9223372036854775808"), P(0, "0.000001"), P(0, "0.0000001"), P(0, "100"), P(0, "1.5E+3"),
  P(1, "2024-01-02T03:04:05+00:00"), P(1, "2024-01-02T03:04:05.120000+02:00"), P(1, "2024-01-02T03:04:05"), P(1, "2024-01-02T00:30:00+01:00"), P(1, "1900-01-01T00:00:00+00:53:28"), P(1, "1900-01-01T00:00:00-00:53:28"),
  P(2, "2024-01-02"), P(2, "0001-01-01"), P(3, "12345678-1234-5678-1234-567812345678"), P(4, "0x0102ff"), P(4, "0x"), P(5, "AAEC"), P(5, ""), P(6, "1000"), P(6, "123456789012345678901234567890"), P(6, "1.5"), P(7, "03:04:05"), P(7, "03:04:05.000100")]

def micros(d):
    d = normalize_timezone(d, True) if d.tzinfo else d.replace(tzinfo=datetime.timezone.utc)
    return (datetime.datetime(d.year, d.month, d.day, d.hour, d.minute, d.second, d.microsecond, datetime.timezone.utc) - UNIX_EPOCH) // datetime.timedelta(microseconds=1)

def canonical(to, v):
    if to == "text":
        return str(v)
    if to == "bigint":
        return None if not -2**63 <= v < 2**63 else str(v)
    if to == "double":
        return float(v).hex() if math.isfinite(v) else str(v)
    if to in ("decimal", "wei"):
        # our bound: a short text with a huge exponent is not written out
        return format(v, "f") if v.is_finite() and len(v.as_tuple().digits) + abs(v.as_tuple().exponent) <= 1000 else None
    if to == "bool":
        return v
    if to == "timestamp":
        return str(micros(v))
    if to == "date":
        return v.toordinal() - datetime.date(1970, 1, 1).toordinal()
    if to == "time":
        v = ensure_pendulum_time(v)
        return str((v.hour * 3600 + v.minute * 60 + v.second) * 10**6 + v.microsecond)
    if to == "binary":
        return base64.b64encode(v).decode()
    return json.dumps(v)

def result(to, from_, v):
    try:
        return canonical(to, coerce_value(to, from_, v))
    except Exception:
        return None

out = []
for raw in texts + values:
    row = []
    for to in TYPES:
        v = std.loads(std.dumps(raw))
        v = custom_pua_decode(v)
        from_ = "text" if type(v).__name__ == "UUID" else py_type_to_sc_type(type(v))
        if from_ == "text" and not isinstance(v, str):
            v = str(v)
        row.append(result(to, from_, v))
    out.append([json.dumps(raw), from_, row])
detect = [[t, is_iso_timestamp(str, t) == "timestamp"] for t in texts]
pathlib.Path(__file__).with_name("coerce.json").write_text(std.dumps({"types": TYPES, "rows": out, "detect": detect}), encoding="utf-8")
