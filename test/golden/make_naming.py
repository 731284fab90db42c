"""Writes naming.json: names as dlt's conventions turn them. Run with a Python that has dlt."""
import importlib
import json
import pathlib
import random

random.seed(11)
names = [
    "UserID", "HTTPServer", "getHTTPResponse", "SmallLove1Stars", "a1B2", "iD", "AbC", "ABC", "SCREAMING_SNAKE",
    "1stPlace", "123", "2024-01-02", "id_", "id__", "_", "__", "___", "fooBar__bazQux", " First Name ", "first.name",
    "kebab-case-x", "e+e", "a*b", "price@home", "x|y", "na\u00efve", "\u65e5\u672c", "user\U0001f642", "$ref", "a%", "(x)",
    "-x-", "+1", "__id", "a__b", "a___b", "a____b", "\u0130stanbul", "Stra\u00dfe", "\u0660\u0661\u0662", "x\u0660", "\u0967a",
    "\U0001d7d8abc", "a\U0001d7d8B", "\U0001f642", "\U0001f642\U0001f642__\U0001f642", "a\nb", "a\r\nb", "\u25b6x\u25b6y", "a\u25b6b", "it's \"q\"",
    "\u00a0x\u00a0", "\u001cx\u001f", "\u0085x", "\ufeffx", "\u3000x\u3000", "\u200bx", "\u017fS", "\u212a", "\ufb01x", "A\u0301b", "\u00c9cole", "\u01c5x",
    "ThisIsAVeryLongColumnNameThatExceedsTheLimitOfPostgresIdentifiersBySome", "a" * 70, "a" * 63, "a" * 64, "a" * 17, "\U0001f642" * 20,
    "\U0001d7d8" * 20, "parent__child__" + "x" * 60, "LongParentName__LongChildName__LongGrandChildName__VeryLongLeafName", "x__ __y", " __ ", "a__ b ",
    "_dlt_id", "_dlt_load_id", "__proto__", "constructor", "a_", "a_b_", "-", "--", "-_-", "1__2", "A__1", "camelCase_snakeCase", "aB", "aBC", "aBc", "Ab", "X1Y2Z3",
    "XMLHttpRequest2", "IOError", "iPhone12Pro", "e-mail", "e_mail", "E-Mail", "100%", "50/50", "C++", "C#", "a&b", "a=b", "a:b", "a,b;c", "a\\b", "a/b", "a'b", "`a`",
    "\t\ttab", "q\"q", "...", "..a..", "a..b", "Z", "z9Z", "9Z9", "9z", "99", "9_9",
]
alphabet = list("abzABZ019__ -+*@|.$%") + ["\u00e9", "\u0130", "\u0663", "\U0001f642", "\u25b6", "\n", "'", "\"", "\u65e5"]
while len(names) < 420:
    names.append("".join(random.choice(alphabet) for _ in range(random.choice([1, 2, 3, 5, 8, 13, 21, 40, 80]))))
out = []
for module in ["snake_case", "direct", "duck_case", "sql_cs_v1", "sql_ci_v1"]:
    cls = importlib.import_module(f"dlt.common.normalizers.naming.{module}").NamingConvention
    for limit in [None, 63, 16]:
        naming = cls(limit)
        rows = []
        for name in names:
            def run(f):
                try:
                    return f()
                except ValueError:
                    return None
            rows.append([
                run(lambda: naming.normalize_identifier(name)),
                run(lambda: naming.normalize_path(name)),
                run(lambda: naming.shorten_fragments("parent", name, "leaf")),
            ])
        out.append({"name": module, "max": limit, "cs": naming.is_case_sensitive, "rows": rows})
pathlib.Path(__file__).with_name("naming.json").write_text(json.dumps({"names": names, "cases": out}), encoding="utf-8")
