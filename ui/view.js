/**
 * What the views have in common: the talk with the host (MCP Apps: JSON-RPC by postMessage) and how data becomes
 * nodes. Names, cells and messages come from outside, so they become text nodes and never markup.
 *
 * A view is this file and its own, as one script inside one page; `src/tools/views.ts` puts them together.
 */

const PROTOCOL = "2026-01-26";
const INITIALIZE_ID = 1;
/** A value is shown to be recognized; whoever needs all of it asks the tool. */
const VALUE_CHARS_MAX = 400;

/**
 * `render` makes nodes of an answer's data; called again for each answer. `more` names the call of a reading tool
 * that tells more of what an answer tells; it is made where the host makes calls for views.
 */
function startView(name, render, more = () => undefined) {
  const host = window.parent;
  const send = (message) => host.postMessage({ jsonrpc: "2.0", ...message }, "*");

  let canCall = false;
  let callId = INITIALIZE_ID;

  const show = (answer) => document.body.replaceChildren(...framed(answer, render));

  const welcome = (result) => {
    canCall = isRecord(result?.hostCapabilities?.serverTools);
    applyTheme(result?.hostContext);
    send({ method: "ui/notifications/initialized", params: {} });
    tellSize(send);
  };

  const on = {
    "ui/notifications/tool-result": (result) => {
      const answer = answerOf(result);
      show(answer);
      const call = canCall ? more(record(answer.data)) : undefined;
      // also when nothing is asked: what comes for an answer before this one is no longer shown
      callId++;
      if (call !== undefined) send({ id: callId, method: "tools/call", params: call });
    },
    "ui/notifications/tool-cancelled": () => document.body.replaceChildren(note("The call was cancelled.")),
    "ui/notifications/host-context-changed": applyTheme,
  };

  window.addEventListener("message", ({ source, data }) => {
    if (source !== host || data?.jsonrpc !== "2.0") return;
    if (data.method === undefined) {
      if (data.id === INITIALIZE_ID) welcome(data.result);
      else if (data.id === callId && isRecord(data.result) && data.result.isError !== true) {
        show(answerOf(data.result));
      }
    } else if (data.id === undefined) {
      on[data.method]?.(data.params);
    } else if (data.method === "ping" || data.method === "ui/resource-teardown") {
      send({ id: data.id, result: {} });
    } else {
      send({ id: data.id, error: { code: -32601, message: "This view has no such method" } });
    }
  });

  send({
    id: INITIALIZE_ID,
    method: "ui/initialize",
    params: { protocolVersion: PROTOCOL, appInfo: { name, version: "1" }, appCapabilities: {} },
  });
}

/** The host's colours where it tells them; the style sheet has its own. */
function applyTheme(context) {
  const { style } = document.documentElement;
  if (context?.theme === "light" || context?.theme === "dark") style.colorScheme = context.theme;
  for (const [name, value] of Object.entries(context?.styles?.variables ?? {})) {
    if (name.startsWith("--") && typeof value === "string") style.setProperty(name, value);
  }
}

function tellSize(send) {
  new ResizeObserver(() => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    send({ method: "ui/notifications/size-changed", params: { height } });
  }).observe(document.body);
}

/** Structured where the host hands it on; the text holds the same JSON, and is all that an error has. */
function answerOf(result) {
  if (isRecord(result?.structuredContent)) return result.structuredContent;
  const text = records(result?.content).find((each) => each.type === "text")?.text;
  try {
    return record(JSON.parse(text));
  } catch {
    return { summary: text };
  }
}

function framed(answer, render) {
  const error = isRecord(answer.error) ? [errorBox(answer.error)] : [];
  const body = isRecord(answer.data) ? render(answer.data) : [];
  return [
    ...(answer.summary === undefined ? [] : [el("p", "summary", answer.summary)]),
    ...error,
    ...body,
    ...section(
      "Next",
      records(answer.next_steps).map((step) => el("li", "", code(step.tool), ": ", step.why)),
      "ul",
    ),
  ];
}

/** An element; strings and numbers among the children become text. */
function el(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const child of children.flat()) {
    if (child === undefined || child === null) continue;
    element.append(child instanceof Node ? child : document.createTextNode(textOf(child)));
  }
  return element;
}

const code = (value) => el("code", "", shortened(textOf(value)));
const badge = (text, tone) => el("span", `badge ${tone ?? ""}`, text);
const note = (text) => el("p", "note", text);

/** A heading and what belongs below it; nothing when that is empty. */
function section(title, children, tag = "div") {
  return children.length === 0 ? [] : [el("h2", "", title), el(tag, "", children)];
}

/** `heads` that begin with `#` are columns of numbers. */
function table(heads, rows) {
  const tone = (index) => (heads[index].startsWith("#") ? "number" : "");
  const head = heads.map((text, index) => el("th", tone(index), text.replace("#", "")));
  const body = rows.map((cells) =>
    el(
      "tr",
      "",
      cells.map((cell, index) => el("td", tone(index), cell)),
    ),
  );
  return el("div", "scroll", el("table", "", el("thead", "", el("tr", "", head)), el("tbody", "", body)));
}

function errorBox(error) {
  return el(
    "div",
    "box bad",
    el("p", "", el("strong", "", error.code ?? "Error"), error.retry === "yes" ? " may be retried" : ""),
    ...(error.message === undefined ? [] : [el("p", "", error.message)]),
    ...(error.hint === undefined ? [] : [el("p", "hint", error.hint)]),
  );
}

/** Warnings, one a line. */
function warnings(texts) {
  return section(
    "Warnings",
    list(texts).map((text) => el("li", "", text)),
    "ul",
  );
}

/** `before → after`, where a side that is missing is shown as absent. */
function change(before, after) {
  return [code(before ?? "none"), " → ", code(after ?? "none")];
}

function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const record = (value) => (isRecord(value) ? value : {});
const list = (value) => (Array.isArray(value) ? value : []);
const records = (value) => list(value).filter(isRecord);

function textOf(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function shortened(text) {
  return text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text;
}

/** A name in parts, as far as there are any. */
function dotted(...parts) {
  return parts.filter((part) => part !== undefined && part !== null).join(".");
}

function count(value) {
  return typeof value === "number" ? value.toLocaleString("en-US") : "";
}

function duration(ms) {
  if (typeof ms !== "number") return "";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
}

function size(bytes) {
  if (typeof bytes !== "number") return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  let value = bytes;
  for (; value >= 1000 && step < units.length - 1; step++) value /= 1000;
  return `${step === 0 ? value : value.toFixed(1)} ${units[step]}`;
}

/** An ISO time to the second. */
function when(text) {
  return typeof text === "string" ? text.replace(/^(\S{10})T(\S{8}).*Z$/, "$1 $2 UTC") : "";
}

/** The engine's own tables are nobody's rows. */
function ownRows(rows) {
  return Object.entries(record(rows)).filter(([name]) => !name.startsWith("_dlt"));
}
