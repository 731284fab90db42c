/** A run: its steps as bars, rows for each table, what failed and what comes next. */

const STATUS_TONES = { succeeded: "good", failed: "bad", running: "busy", cancelled: "warn" };

startView("run-timeline", show, stepsOfRun);

function show(data) {
  // get_run answers the run beside its log, run_pipeline the run
  const run = isRecord(data.run) ? data.run : data;
  return [
    el(
      "header",
      "",
      el("h1", "", run.pipeline ?? "Run"),
      badge(run.status ?? "unknown", STATUS_TONES[run.status]),
      el("span", "muted", [when(run.started_at), duration(run.duration_ms)].filter(Boolean).join(" · ")),
      ...(run.run_id === undefined ? [] : [code(run.run_id)]),
    ),
    ...(isRecord(run.error) ? [errorBox(run.error)] : []),
    ...steps(run),
    ...rowsOf(run),
    ...packages(run),
    ...dryRun(run),
    ...warnings(run.warnings),
  ];
}

/** A concise answer leaves the steps out. */
function stepsOfRun(data) {
  const { run_id, steps } = isRecord(data.run) ? data.run : data;
  if (typeof run_id !== "string" || steps !== undefined) return undefined;
  return { name: "get_run", arguments: { run_id, log_lines: 0, response_format: "detailed" } };
}

/** Each bar is as long as its step took, the longest being the whole width: steps may go on side by side. */
function steps(run) {
  const all = records(run.steps);
  const longest = Math.max(1, ...all.map((each) => each.duration_ms ?? 0));
  const several = new Set(all.map((each) => each.load_id).filter(Boolean)).size > 1;
  return section(
    "Steps",
    all.map((each) => {
      const bar = el("div", `bar ${isRecord(each.error) ? "bad" : ""}`);
      bar.style.width = `${Math.max(0.5, (100 * (each.duration_ms ?? 0)) / longest)}%`;
      const rows = ownRows(each.rows).reduce((sum, [, value]) => sum + value, 0);
      const facts = [rows > 0 ? `${count(rows)} rows` : "", each.bytes > 0 ? size(each.bytes) : ""];
      return el(
        "div",
        "step",
        el("div", "", each.step ?? "step", several && each.load_id ? [" ", code(each.load_id)] : []),
        el("div", "track", bar),
        el("div", "number", duration(each.duration_ms)),
        el("div", "muted", isRecord(each.error) ? each.error.code : facts.filter(Boolean).join(" · ")),
      );
    }),
  );
}

function rowsOf(run) {
  const planned = isRecord(run.dry_run);
  const rows = ownRows(planned ? run.dry_run.rows : run.rows);
  const rejected = record(planned ? run.dry_run.rejected : run.rejected);
  const lost = Object.keys(rejected).length > 0;
  if (rows.length === 0) {
    return run.status === "running" ? [note("Nothing is committed yet.")] : [note("No rows were committed.")];
  }
  const lines = rows.map(([name, value]) => [
    name,
    count(value),
    ...(lost ? [count(rejected[name]?.rows ?? 0)] : []),
  ]);
  const heads = ["Table", planned ? "#Rows to load" : "#Rows", ...(lost ? ["#Rejected"] : [])];
  return section("Rows per table", [table(heads, lines)]);
}

function packages(run) {
  const all = records(run.packages);
  if (all.length === 0) return [];
  const failed = all.some((each) => isRecord(each.error));
  const lines = all.map((each) => [
    code(each.load_id),
    [each.status, each.recovered ? " (left over from before)" : ""],
    count(ownRows(each.rows).reduce((sum, [, value]) => sum + value, 0)),
    count(each.schema_changes),
    ...(failed ? [el("strong", "bad", record(each.error).code)] : []),
  ]);
  const heads = ["Load id", "Status", "#Rows", "#Schema changes", ...(failed ? ["Error"] : [])];
  return section("Packages", [table(heads, lines)]);
}

function dryRun(run) {
  if (!isRecord(run.dry_run)) return [];
  const { cursors, schema_changes } = run.dry_run;
  return [
    ...section(
      "Schema changes",
      records(schema_changes).map((each) =>
        el("li", "", each.kind, " ", code(dotted(each.table, each.column))),
      ),
      "ul",
    ),
    ...section(
      "Cursors",
      records(cursors).map((each) =>
        el("li", "", code(dotted(each.resource, each.path)), ": ", change(each.before, each.after)),
      ),
      "ul",
    ),
  ];
}
