/** What a destructive step will take away, and the way back. It shows and does not confirm. */

const STATUS_TEXTS = {
  planned: ["planned", "warn"],
  dropped: ["done", "good"],
  done: ["done", "good"],
  declined: ["declined", ""],
};

startView("plan", (data) => {
  const [status, tone] = STATUS_TEXTS[data.status] ?? [data.status ?? "unknown", ""];
  const packages = list(data.packages);
  return [
    el(
      "header",
      "",
      el("h1", "", data.pipeline ?? "Plan"),
      el("span", "muted", String(data.action ?? "drop_pending_packages").replaceAll("_", " ")),
      badge(status, tone),
      data.reversible === undefined
        ? undefined
        : badge(data.reversible ? "reversible" : "not reversible", data.reversible ? "good" : "bad"),
    ),
    ...warnings(data.warnings),
    ...section("Tables dropped with their rows", tables(records(data.tables))),
    ...section(data.action === undefined ? "Packages taken back" : "Packages", packagesOf(packages)),
    ...section("What the pipeline remembers", changes(data, records(packages))),
    ...(data.backup ? [el("p", "hint", "Backup: ", code(data.backup))] : []),
    ...(data.status === "planned"
      ? [
          note(
            `Nothing is changed yet. It is confirmed in the conversation${
              data.expires_at === undefined ? "" : `, until ${when(data.expires_at)}`
            }.`,
          ),
        ]
      : []),
  ];
});

function tables(all) {
  if (all.length === 0) return [];
  return [
    table(
      ["Table", "#Rows"],
      all.map((each) => [each.name, count(each.rows) || "not known"]),
    ),
  ];
}

/** reset_state names packages, drop_pending_packages tells about them. */
function packagesOf(all) {
  if (all.length === 0) return [];
  if (!all.some(isRecord))
    return [
      el(
        "p",
        "",
        all.flatMap((id) => [code(id), " "]),
      ),
    ];
  return [
    table(
      ["Load id", "Stage", "#Rows", "#Size"],
      records(all).map((each) => [code(each.load_id), each.stage, count(each.rows), size(each.bytes)]),
    ),
  ];
}

/** A dropped package's cursor goes back: from where the package ended to where it began. */
function changes(data, packages) {
  const lines = [
    ...records(data.changes).map((each) => [each.path, each.before, each.after]),
    ...packages.flatMap(({ cursors }) =>
      records(cursors).map((each) => [dotted(each.resource, each.path), each.from, each.to]),
    ),
  ];
  if (lines.length === 0) return [];
  return [
    table(
      ["Cursor or state", "Before", "After"],
      lines.map(([path, before, after]) => [code(path), code(before ?? "none"), code(after ?? "none")]),
    ),
  ];
}
