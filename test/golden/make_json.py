"""Writes json.json: values as dlt reads and writes them. Run with a Python that has dlt."""
import json as std
import math
import pathlib
import random
import struct

from dlt.common.json import json

random.seed(7)
floats = [0.0, -0.0, 1.0, 1e20, 1e-5, 9.99e-6, 1e-6, 1e-7, 1e15, 1e16, 9999999999999998.0, 123456789012345680.0, 5e-324, 1.7976931348623157e308]
while len(floats) < 700:
    kind = len(floats) % 4
    if kind == 0:
        f = struct.unpack("<d", random.randbytes(8))[0]
    elif kind == 1:
        f = random.uniform(-1e6, 1e6)
    elif kind == 2:
        f = float(random.randint(-10**18, 10**18))
    else:
        f = random.uniform(-10, 10) * 10.0 ** random.randint(-12, 24)
    if math.isfinite(f):
        floats.append(f)
texts = ['{"b":1,"a":1.0,"\\ud83d\\ude00":[null,true,1e20],"\\uffff":"\\u007f\\u2028\\u0001\\b\\t\\n\\f\\r\\/\\"\\\\","\\ue000":-0}',
  '[18446744073709551615,-9223372036854775808,9007199254740993,-0,-0.0,1E5,0.1e-7]']
out = {
    "floats": [[f.hex(), std.dumps(f), json.dumps(f)] for f in floats],
    "texts": [[t, json.dumps(json.loads(t)), json.dumps(json.loads(t), sort_keys=True)] for t in texts],
}
pathlib.Path(__file__).with_name("json.json").write_text(std.dumps(out, indent=0), encoding="utf-8")
