import { describe, expect, it } from "vitest";
import { AskPerson, ConfirmBook, canonical, decide, planHash } from "../../src/tools/confirm.ts";

const PLAN = { pipeline_name: "shop", packages: [{ load_id: "1.5", rows: 3 }], backup: "dropped/1.5" };

function bookAt(start = 1_000_000) {
  let now = start;
  const book = new ConfirmBook({ now: () => now });
  return { book, pass: (ms: number) => (now += ms) };
}

describe("a confirm token", () => {
  it("is good once, for the same tool and the same plan", () => {
    const { book } = bookAt();
    const { token } = book.mint("drop", PLAN, "caller");
    book.redeem(token, "drop", structuredClone(PLAN), "caller");
    expect(() => book.redeem(token, "drop", PLAN, "caller")).toThrow(/used before/);
  });

  it("is void after ten minutes", () => {
    const { book, pass } = bookAt();
    const { token } = book.mint("drop", PLAN, "caller");
    pass(10 * 60 * 1000);
    expect(() => book.redeem(token, "drop", PLAN, "caller")).toThrow(/expired/);
  });

  it("is void when the state moved", () => {
    const { book } = bookAt();
    const { token } = book.mint("drop", PLAN, "caller");
    const moved = { ...PLAN, packages: [...PLAN.packages, { load_id: "1.6", rows: 1 }] };
    expect(() => book.redeem(token, "drop", moved, "caller")).toThrow(/state moved/);
    // The refusal spends nothing: the plan that was shown may still be carried out.
    book.redeem(token, "drop", PLAN, "caller");
  });

  it("is of no use for another tool, on another channel, in another process, or altered", () => {
    const { book } = bookAt();
    const { token } = book.mint("drop", PLAN, "caller");
    expect(() => book.redeem(token, "reset", PLAN, "caller")).toThrow(/not one/);
    expect(() => book.redeem(token, "drop", PLAN, "person")).toThrow(/not one/);
    expect(() => bookAt().book.redeem(token, "drop", PLAN, "caller")).toThrow(/not one/);
    const [body = "", signature = ""] = token.split(".");
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(body, "base64url").toString()), expires: 9e15 }),
    ).toString("base64url");
    for (const bad of [
      "",
      ".",
      "x.y",
      `${forged}.${signature}`,
      `${token}.z`,
      body,
      `${body}.${signature}A`,
    ]) {
      expect(() => book.redeem(bad, "drop", PLAN, "caller"), bad).toThrow(/not one/);
    }
  });

  it("is not given to the caller where only a person may confirm", () => {
    const book = new ConfirmBook({ requireHuman: true });
    expect(() => book.mint("drop", PLAN, "caller")).toThrow(/person/);
    const { token } = book.mint("drop", PLAN, "person");
    expect(() => book.redeem(token, "drop", PLAN, "caller")).toThrow(/person/);
    book.redeem(token, "drop", PLAN, "person");
  });
});

describe("decide", () => {
  const call = { tool: "drop", plan: PLAN, question: "Drop?" };

  it("asks where the client can ask, and acts on the answer", () => {
    const { book } = bookAt();
    let asked: AskPerson | undefined;
    try {
      decide({ book, canAsk: true }, call);
    } catch (error) {
      asked = error as AskPerson;
    }
    expect(asked).toBeInstanceOf(AskPerson);
    const token = asked?.token;
    expect(decide({ book, canAsk: true, answered: { answer: "declined", token } }, call).kind).toBe(
      "declined",
    );
    expect(decide({ book, canAsk: true, answered: { answer: "accepted", token } }, call).kind).toBe(
      "confirmed",
    );
    expect(() =>
      decide({ book, canAsk: true, answered: { answer: "accepted", token: undefined } }, call),
    ).toThrow();
  });

  it("hands out a token where it cannot", () => {
    const { book } = bookAt();
    const decision = decide({ book, canAsk: false }, call);
    if (decision.kind !== "token") throw new Error(decision.kind);
    const again = decide({ book, canAsk: false }, { ...call, confirmToken: decision.token.token });
    expect(again.kind).toBe("confirmed");
  });
});

describe("the hash of a plan", () => {
  it("does not depend on the order of keys, but on every value", () => {
    expect(planHash({ a: 1, b: [1, 2] })).toBe(planHash({ b: [1, 2], a: 1 }));
    expect(planHash({ a: 1, b: [1, 2] })).not.toBe(planHash({ a: 1, b: [2, 1] }));
    expect(planHash({ a: "1" })).not.toBe(planHash({ a: 1 }));
    expect(canonical({ big: 9007199254740993n, none: undefined })).toBe('{"big":9007199254740993n}');
  });
});
