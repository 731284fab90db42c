/** A host for a view (MCP Apps): its page in a small DOM, its script run for real, and the messages between them. */

import { parseHTML } from "linkedom";

export interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: unknown;
  readonly error?: unknown;
}

type Page = ReturnType<typeof parseHTML>;

export interface OpenView {
  readonly document: Page["document"];
  /** What the view told the host so far. */
  readonly sent: readonly Message[];
  /** A message of the host, or of somebody else. */
  say(message: Message, from?: "host" | "stranger"): void;
  /** The text that a person sees. */
  text(): string;
}

/** The page, after the host answered its `ui/initialize`. */
export function openView(
  page: string,
  hostContext: Record<string, unknown> = {},
  hostCapabilities: Record<string, unknown> = {},
): OpenView {
  const { document, Node } = parseHTML(page);
  const sent: Message[] = [];
  let listener: (event: unknown) => void = () => {};
  const parent = { postMessage: (message: Message) => sent.push(message) };
  const window = {
    parent,
    addEventListener: (_type: string, added: typeof listener) => {
      listener = added;
    },
  };
  class ResizeObserver {
    readonly #callback: () => void;
    constructor(callback: () => void) {
      this.#callback = callback;
    }
    observe(): void {
      this.#callback();
    }
  }
  const script = document.querySelector("script")?.textContent ?? "";
  new Function("window", "document", "Node", "ResizeObserver", script)(
    window,
    document,
    Node,
    ResizeObserver,
  );
  const say: OpenView["say"] = (message, from = "host") => {
    listener({ source: from === "host" ? parent : {}, data: { jsonrpc: "2.0", ...message } });
  };
  say({ id: sent[0]?.id, result: { protocolVersion: "2026-01-26", hostCapabilities, hostContext } });
  return { document, sent, say, text: () => document.body.textContent ?? "" };
}

/** A view with the answer of a tool, as a host hands it on. */
export function shown(page: string, structuredContent: Record<string, unknown>): OpenView {
  const view = openView(page);
  view.say({ method: "ui/notifications/tool-result", params: { content: [], structuredContent } });
  return view;
}
