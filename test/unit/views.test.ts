import { expect, it } from "vitest";
import { VIEWS, type ViewName, viewPage } from "../../src/tools/views.ts";
import { openView, shown } from "../support/view-host.ts";

const NAMES = Object.keys(VIEWS) as ViewName[];
const HOSTILE = "<img src=x onerror=alert(1)>";

const FAILED = {
  run_id: "20260101T000000-abcdef",
  pipeline: "shop",
  status: "failed",
  started_at: "2026-01-01T00:00:00.000Z",
  duration_ms: 61_500,
  rows: { orders: 1200, _dlt_loads: 1, [HOSTILE]: 3 },
  packages: [
    { load_id: "1.1", status: "failed", recovered: true, rows: { orders: 1200 }, schema_changes: 2 },
  ],
  steps: [
    { step: "extract", load_id: "1.1", duration_ms: 1000, rows: { orders: 1200 }, bytes: 4096 },
    { step: "load", load_id: "1.1", duration_ms: 4000, rows: {}, bytes: 0, error: { code: "DISK_FULL" } },
  ],
  rejected: { orders: { rows: 7, values: 0 } },
  warnings: [`column ${HOSTILE}`],
  error: { code: "DISK_FULL", message: `No space for ${HOSTILE}`, hint: "Make room.", retry: "yes" },
};

const DIFF = {
  schema_name: HOSTILE,
  from_version: null,
  to_version: 3,
  changes_total: 4,
  breaking_total: 1,
  changes: [
    { kind: "table_added", table: "orders", breaking: false, load_id: "1.1", at: "2026-01-01T00:00:00Z" },
    {
      kind: "column_added",
      table: "orders",
      column: HOSTILE,
      after: HOSTILE,
      load_id: "2.1",
      at: null,
      why: HOSTILE,
      ddl: [`alter table orders add column "${HOSTILE}" text`],
      example: 0,
    },
    { kind: "type_changed", table: HOSTILE, column: "id", before: "bigint", after: "text", breaking: true },
  ],
  examples: [HOSTILE],
};

const DROP = {
  status: "planned",
  pipeline: HOSTILE,
  packages: [
    {
      load_id: "1.1",
      stage: "normalized",
      rows: 3,
      bytes: 2_500_000,
      cursors: [{ resource: HOSTILE, path: "updated_at", from: "2026-02-01", to: null }],
    },
  ],
  backup: "dropped/1.1",
  reversible: true,
  confirm_token: "the-token",
  expires_at: "2026-01-01T00:10:00.000Z",
};

const RESET = {
  status: "planned",
  pipeline: "shop",
  action: "drop_resource",
  changes: [{ path: HOSTILE, before: { last_value: HOSTILE }, after: "(absent)" }],
  tables: [{ name: HOSTILE, rows: null }],
  packages: ["1.1"],
  warnings: [HOSTILE],
  backup: null,
  reversible: false,
  confirm_token: "the-token",
};

const STEP = { tool: "run_pipeline", arguments: { confirm_token: "the-token" }, why: HOSTILE };

const ANSWERS: readonly (readonly [string, ViewName, Record<string, unknown>])[] = [
  ["a run of run_pipeline", "run-timeline", FAILED],
  ["a run of get_run", "run-timeline", { run: FAILED, log: [{ message: HOSTILE }] }],
  ["a diff", "schema-diff", DIFF],
  ["a drop of packages", "plan", DROP],
  ["a reset", "plan", RESET],
];

it.each(ANSWERS)("%s with markup in its names is shown as text", (_what, view, data) => {
  const page = shown(viewPage(view), { summary: HOSTILE, data, next_steps: [STEP] });
  expect(page.document.querySelector("img, [onerror]")).toBeNull();
  expect(page.text()).toContain(HOSTILE);
  expect(page.text()).not.toContain("the-token");
});

/** Each field of the data at any depth taken away once, and once replaced by null. */
function* damaged(value: unknown): Generator<unknown> {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    const { [key]: _, ...rest } = value as Record<string, unknown>;
    if (!Array.isArray(value)) yield rest;
    const put = (other: unknown) =>
      Array.isArray(value) ? value.with(Number(key), other) : { ...rest, [key]: other };
    yield put(null);
    for (const less of damaged(inner)) yield put(less);
  }
}

it.each(ANSWERS)("%s is shown with whatever field missing", (_what, view, data) => {
  const page = openView(viewPage(view));
  let count = 0;
  for (const less of [{}, ...damaged(data)]) {
    page.say({
      method: "ui/notifications/tool-result",
      params: { structuredContent: { summary: `answer ${++count}`, data: less } },
    });
    expect(page.text()).toContain(`answer ${count}`);
    expect(page.text()).not.toMatch(/undefined|NaN|\[object/);
  }
  expect(count).toBeGreaterThan(10);
});

it("a run tells its steps by length, its rows without the engine's tables, its error and what comes next", () => {
  const { document, text } = shown(viewPage("run-timeline"), { data: { run: FAILED }, next_steps: [STEP] });
  const bars = [...document.querySelectorAll(".bar")];
  expect(bars.map((bar) => [bar.style.width, bar.classList.contains("bad")])).toEqual([
    ["25%", false],
    ["100%", true],
  ]);
  for (const part of ["1 min 1 s", "1,200 rows · 4.1 kB", "DISK_FULL may be retried", "Make room."]) {
    expect(text()).toContain(part);
  }
  expect(text()).toContain("run_pipeline");
  expect(text()).not.toContain("_dlt");
});

it("a run without its steps is asked for again, once, where the host makes calls, and an error leaves it as it is", () => {
  const { steps: _, ...concise } = FAILED;
  const result = (data: unknown) => ({ structuredContent: { summary: "", data } });
  const view = openView(viewPage("run-timeline"), {}, { serverTools: {} });
  view.say({ method: "ui/notifications/tool-result", params: result(concise) });
  const { id, ...call } = view.sent.at(-1) ?? {};
  expect(call).toMatchObject({
    method: "tools/call",
    params: { name: "get_run", arguments: { run_id: FAILED.run_id, response_format: "detailed" } },
  });
  const before = view.sent.length;
  view.say({ id, error: { code: -32000, message: "not now" } });
  view.say({ id, result: { isError: true, content: [] } });
  expect(view.text()).toContain("Make room.");
  view.say({ id: 99, result: result({ run: { pipeline: "another" } }) });
  expect(view.text()).not.toContain("another");
  view.say({ id, result: result({ run: FAILED, log: [] }) });
  expect(view.document.querySelectorAll(".bar")).toHaveLength(2);
  expect(view.sent).toHaveLength(before);

  const other = shown(viewPage("run-timeline"), { data: concise });
  expect(other.sent.map((each) => each.method)).not.toContain("tools/call");
});

it("a diff stands under the loads that brought it, and tells when there is more", () => {
  const { document, text } = shown(viewPage("schema-diff"), { data: DIFF });
  expect([...document.querySelectorAll("h2")].map((each) => each.textContent?.trim())).toEqual([
    "Load 1.1 2026-01-01 00:00:00 UTC",
    "Load 2.1",
    "By hand, not by a load",
  ]);
  expect([...document.querySelectorAll(".badge.bad")].map((each) => each.textContent)).toEqual([
    "1 breaking",
    "type changed",
  ]);
  for (const part of ["bigint → text", "alter table orders", "3 of 4 changes are shown"]) {
    expect(text()).toContain(part);
  }
});

it("a plan tells what goes, where cursors go back to and whether there is a way back, and has nothing to press", () => {
  const drop = shown(viewPage("plan"), { data: DROP });
  const cells = [...drop.document.querySelectorAll("td")].map((each) => each.textContent);
  expect(cells).toEqual(["1.1", "normalized", "3", "2.5 MB", `${HOSTILE}.updated_at`, "2026-02-01", "none"]);
  expect(drop.text()).toContain("Nothing is changed yet");
  expect(drop.document.querySelector(".badge.good")?.textContent).toBe("reversible");
  expect(drop.document.querySelector("button, input, a, form")).toBeNull();
  const reset = shown(viewPage("plan"), { data: RESET });
  expect(reset.document.querySelector(".badge.bad")?.textContent).toBe("not reversible");
  expect(shown(viewPage("plan"), { data: { ...DROP, status: "dropped" } }).text()).not.toContain(
    "Nothing is changed",
  );
});

it("an error comes as text only, and is shown with its code and hint", () => {
  const view = openView(viewPage("plan"));
  const error = { code: "NOTHING_PENDING", message: "No packages.", hint: "See query_loads.", retry: "no" };
  view.say({
    method: "ui/notifications/tool-result",
    params: { isError: true, content: [{ type: "text", text: JSON.stringify({ error }) }] },
  });
  expect(view.document.querySelector(".box.bad")?.textContent).toBe(
    "NOTHING_PENDINGNo packages.See query_loads.",
  );
  view.say({
    method: "ui/notifications/tool-result",
    params: { content: [{ type: "text", text: "not JSON" }] },
  });
  expect(view.text()).toContain("not JSON");
  view.say({ method: "ui/notifications/tool-result" });
  view.say({ method: "ui/notifications/tool-cancelled", params: {} });
  expect(view.text()).toContain("cancelled");
});

it.each(NAMES)("%s greets its host, takes its theme, answers its requests and hears nobody else", (name) => {
  const view = openView(viewPage(name), {
    theme: "dark",
    styles: { variables: { "--color-text-primary": "red" } },
  });
  expect(view.sent.map((each) => each.method)).toEqual([
    "ui/initialize",
    "ui/notifications/initialized",
    "ui/notifications/size-changed",
  ]);
  expect(view.sent[0]?.params).toMatchObject({ protocolVersion: "2026-01-26", appCapabilities: {} });
  const { style } = view.document.documentElement;
  expect([style.colorScheme, style.getPropertyValue("--color-text-primary")]).toEqual(["dark", "red"]);
  view.say({ method: "ui/notifications/host-context-changed", params: { theme: "light" } });
  expect(style.colorScheme).toBe("light");

  view.say({ id: 7, method: "ui/resource-teardown", params: {} });
  expect(view.sent.at(-1)).toMatchObject({ id: 7, result: {} });
  view.say({ id: 8, method: "tools/call", params: {} });
  expect(view.sent.at(-1)).toMatchObject({ id: 8, error: { code: -32601 } });
  view.say({ method: "ui/notifications/of-the-future" });

  view.say(
    { method: "ui/notifications/tool-result", params: { structuredContent: { summary: "forged" } } },
    "stranger",
  );
  expect(view.text()).not.toContain("forged");
});

it.each(NAMES)("%s is one page that loads nothing and makes no markup of data", (name) => {
  const page = viewPage(name);
  expect(page).not.toMatch(/\b(https?|wss?|data):|url\(|@import|\bimport\b|\s(src|href|on\w+)=/i);
  expect(page).not.toMatch(/innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|fetch\(/);
  expect(page.match(/<\/script>/g)).toHaveLength(1);
});
