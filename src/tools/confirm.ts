/**
 * Nothing is destroyed on one call. The first call makes a plan and a token; the second redeems the token.
 *
 *   plan --mint--> token --redeem (same tool, same plan made anew, in time, first time)--> go
 *
 * The plan is made again at redemption and compared by hash, so a token is void as soon as the state moved.
 * A token is for one channel: one that asked a person (elicitation) is no good as an argument of a model, and
 * the other way round; under `requireHuman` no token for the model is given at all. The key lives as long as
 * the process, so a restart voids all tokens.
 */

import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { EngineError } from "../engine/errors.ts";

export const CONFIRM_TTL_MS = 10 * 60 * 1000;

/** Who is asked: the person at the client, or whoever repeats the call with the token. */
export type Channel = "person" | "caller";

export interface ConfirmToken {
  readonly token: string;
  readonly expires_at: string;
}

interface Payload {
  readonly tool: string;
  readonly channel: Channel;
  readonly plan: string;
  readonly expires: number;
  readonly nonce: string;
}

export interface ConfirmOptions {
  readonly now?: () => number;
  readonly ttlMs?: number;
  /** Only a person can confirm, by way of the client. */
  readonly requireHuman?: boolean;
}

export class ConfirmBook {
  readonly requireHuman: boolean;
  readonly #key = randomBytes(32);
  readonly #now: () => number;
  readonly #ttlMs: number;
  /** Nonce -> when its token expires; after that it need not be remembered. */
  readonly #spent = new Map<string, number>();

  constructor(options: ConfirmOptions = {}) {
    this.requireHuman = options.requireHuman ?? false;
    this.#now = options.now ?? Date.now;
    this.#ttlMs = options.ttlMs ?? CONFIRM_TTL_MS;
  }

  mint(tool: string, plan: unknown, channel: Channel): ConfirmToken {
    if (channel === "caller" && this.requireHuman) throw humanRequired();
    const expires = this.#now() + this.#ttlMs;
    const payload: Payload = {
      tool,
      channel,
      plan: planHash(plan),
      expires,
      nonce: randomBytes(12).toString("base64url"),
    };
    const body = Buffer.from(JSON.stringify(payload)).toString("base64url");
    return {
      token: `${body}.${this.#sign(body).toString("base64url")}`,
      expires_at: new Date(expires).toISOString(),
    };
  }

  /** `plan` is made anew by the caller of this. Errors: CONFIRM_EXPIRED, NOT_ALLOWED under requireHuman. */
  redeem(token: string, tool: string, plan: unknown, channel: Channel): void {
    if (channel === "caller" && this.requireHuman) throw humanRequired();
    const payload = this.#verified(token);
    if (payload === undefined || payload.tool !== tool || payload.channel !== channel) {
      throw expired("The confirm token is not one that this server gave for this call.");
    }
    if (payload.expires <= this.#now()) throw expired("The confirm token has expired.");
    if (this.#spent.has(payload.nonce)) throw expired("The confirm token was used before.");
    if (payload.plan !== planHash(plan)) {
      throw expired("The state moved since the plan was shown, so the plan is another one now.");
    }
    this.#forgetExpired();
    this.#spent.set(payload.nonce, payload.expires);
  }

  #verified(token: string): Payload | undefined {
    const [body, signature, ...rest] = token.split(".");
    if (body === undefined || signature === undefined || rest.length > 0) return undefined;
    const given = Buffer.from(signature, "base64url");
    const wanted = this.#sign(body);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
    return JSON.parse(Buffer.from(body, "base64url").toString("utf8")) as Payload;
  }

  #sign(body: string): Buffer {
    return createHmac("sha256", this.#key).update(body).digest();
  }

  #forgetExpired(): void {
    const now = this.#now();
    for (const [nonce, expires] of this.#spent) if (expires <= now) this.#spent.delete(nonce);
  }
}

/** Hash of a plan that does not depend on the order of keys. */
export function planHash(plan: unknown): string {
  return createHash("sha256").update(canonical(plan)).digest("base64url");
}

/** JSON with sorted keys; integers beyond 2^53 keep their digits. */
export function canonical(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null && !("toJSON" in value)) {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}

function expired(message: string): EngineError {
  return new EngineError("CONFIRM_EXPIRED", message, {
    hint: "Call the tool without confirm_token for a new plan.",
  });
}

function humanRequired(): EngineError {
  return new EngineError(
    "NOT_ALLOWED",
    "This server lets only a person confirm, and this client cannot ask one.",
    {
      hint: "Use a client with elicitation, or let a person run the same step on the command line.",
      details: { flag: "--require-human" },
    },
  );
}

/** What came back when a person was asked. */
export type Answer = "accepted" | "declined";

/** How the client can confirm, and what it brought to this call. */
export interface Confirmation {
  readonly book: ConfirmBook;
  /** The client can put a question to its person. */
  readonly canAsk: boolean;
  /** The person's answer and the token that went out with the question. */
  readonly answered?: { readonly answer: Answer; readonly token: string | undefined };
}

/** Thrown out of a tool: the server turns it into the client's own question and calls the tool again. */
export class AskPerson extends Error {
  readonly question: string;
  /** What the question is about, for whoever can show it. */
  readonly plan: unknown;
  readonly token: string;

  constructor(question: string, plan: unknown, token: string) {
    super(question);
    this.name = "AskPerson";
    this.question = question;
    this.plan = plan;
    this.token = token;
  }
}

export type Decision =
  | { readonly kind: "confirmed" }
  | { readonly kind: "declined" }
  | { readonly kind: "token"; readonly token: ConfirmToken };

/** Whether a plan may be carried out now; asks, or hands out a token, when nobody has confirmed it yet. */
export function decide(
  confirmation: Confirmation,
  call: {
    readonly tool: string;
    readonly plan: unknown;
    readonly question: string;
    readonly confirmToken?: string;
  },
): Decision {
  const { book, answered } = confirmation;
  if (answered !== undefined) {
    if (answered.answer === "declined") return { kind: "declined" };
    book.redeem(answered.token ?? "", call.tool, call.plan, "person");
    return { kind: "confirmed" };
  }
  if (call.confirmToken !== undefined) {
    book.redeem(call.confirmToken, call.tool, call.plan, "caller");
    return { kind: "confirmed" };
  }
  if (confirmation.canAsk)
    throw new AskPerson(call.question, call.plan, book.mint(call.tool, call.plan, "person").token);
  return { kind: "token", token: book.mint(call.tool, call.plan, "caller") };
}
