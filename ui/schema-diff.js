/** What changed in a schema: by the load that brought it, then by table. */

startView("schema-diff", (data) => {
  const changes = records(data.changes);
  const total = data.changes_total ?? changes.length;
  return [
    el(
      "header",
      "",
      el("h1", "", data.schema_name ?? "Schema"),
      el("span", "muted", `version ${data.from_version ?? "0"} → ${data.to_version ?? "?"}`),
      data.breaking_total > 0 ? badge(`${count(data.breaking_total)} breaking`, "bad") : undefined,
    ),
    ...(changes.length === 0 ? [note("Nothing changed.")] : []),
    ...groups(changes, (each) => each.load_id ?? "").flatMap(([, ofLoad]) =>
      loadOf(ofLoad, list(data.examples)),
    ),
    ...(total > changes.length
      ? [note(`${count(changes.length)} of ${count(total)} changes are shown.`)]
      : []),
  ];
});

function loadOf(changes, examples) {
  const [first] = changes;
  return [
    el(
      "h2",
      "",
      ...(first.load_id == null ? ["By hand, not by a load"] : ["Load ", code(first.load_id)]),
      el("span", "muted", ` ${when(first.at)}`),
    ),
    ...groups(changes, (each) => each.table ?? "").map(([name, ofTable]) =>
      el(
        "section",
        "box",
        el("h3", "", name),
        ofTable.map((each) => changeOf(each, examples)),
      ),
    ),
  ];
}

function changeOf(each, examples) {
  const example = examples[each.example];
  const ddl = list(each.ddl);
  return el(
    "div",
    "change",
    el(
      "div",
      "",
      badge(String(each.kind ?? "changed").replaceAll("_", " "), each.breaking ? "bad" : toneOf(each.kind)),
      ...(each.column === undefined ? [] : [" ", code(each.column)]),
      ...(each.hint === undefined ? [] : [" ", each.hint]),
      ...(each.before === undefined && each.after === undefined ? [] : [" ", values(each)]),
    ),
    ...(each.why === undefined ? [] : [el("p", "muted", each.why)]),
    ...(example === undefined ? [] : [el("p", "muted", "first value ", code(example))]),
    ...(ddl.length === 0
      ? []
      : [el("details", "", el("summary", "", "DDL"), el("pre", "", ddl.join(";\n")))]),
  );
}

/** Only what is there: a new column has no type before, and a new table has columns. */
function values({ before, after }) {
  if (before != null || after == null) return change(before, after);
  if (!isRecord(after)) return [code(after)];
  return Object.entries(after).map(([name, type]) =>
    el("div", "", code(name), " ", el("span", "muted", type)),
  );
}

function toneOf(kind) {
  return kind === "table_added" || kind === "column_added" ? "good" : "warn";
}

/** In order of first appearance. */
function groups(items, keyOf) {
  const found = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(item);
  }
  return [...found];
}
