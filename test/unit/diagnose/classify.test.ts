import { describe, expect, it } from "vitest";
import { CATALOGUE } from "../../../src/engine/diagnose/catalogue/index.ts";
import { classify } from "../../../src/engine/diagnose/classify.ts";
import { ERRORS } from "../../../src/engine/errors.ts";
import { ERROR_CORPUS, SEEN_ERRORS, UNRELATED } from "../../support/error-corpus.ts";

const answer = (text: string) => classify(text).candidates[0];
const RIGHT_SHARE_MIN = 0.95;

describe("the error catalogue", () => {
  it("has codes of its own, a title, a fix, and causes where it is not one of this engine's codes", () => {
    const codes = CATALOGUE.map((each) => each.code);
    expect(new Set(codes).size).toBe(codes.length);
    for (const each of CATALOGUE) {
      expect(each.code).toMatch(/^[A-Z0-9]+(_[A-Z0-9]+)*$/);
      expect(each.title).toMatch(/\.$/);
      expect(each.fixes.length, each.code).toBeGreaterThan(0);
      if (!Object.hasOwn(ERRORS, each.code)) expect(each.causes.length, each.code).toBeGreaterThan(0);
    }
  });

  it("is tried in at least two phrasings for each entry that is not one of this engine's codes", () => {
    const tried = new Map<string, number>();
    for (const [code] of ERROR_CORPUS) tried.set(code, (tried.get(code) ?? 0) + 1);
    const short = CATALOGUE.filter(
      (each) => !Object.hasOwn(ERRORS, each.code) && (tried.get(each.code) ?? 0) < 2,
    );
    expect(short.map((each) => each.code)).toEqual([]);
  });

  it(`answers the right code for at least ${RIGHT_SHARE_MIN * 100} % of the corpus`, () => {
    const wrong = ERROR_CORPUS.map(([code, text]) => ({
      code,
      text,
      got: answer(text)?.pattern.code,
    })).filter(({ code, got }) => code !== got);
    const share = 1 - wrong.length / ERROR_CORPUS.length;
    expect(share, JSON.stringify(wrong, null, 1)).toBeGreaterThanOrEqual(RIGHT_SHARE_MIN);
  });

  it("is never confident of a wrong code in the corpus", () => {
    const sure = ERROR_CORPUS.filter(([code, text]) => {
      const best = answer(text);
      return best !== undefined && best.pattern.code !== code && best.confidence === "high";
    });
    expect(sure).toEqual([]);
  });

  it(`answers the right code for at least ${RIGHT_SHARE_MIN * 100} % of errors that it was not written from`, () => {
    const wrong = SEEN_ERRORS.map(({ codes, text }) => ({
      codes,
      text,
      got: answer(text)?.pattern.code,
    })).filter(({ codes, got }) => got === undefined || !codes.includes(got));
    const share = 1 - wrong.length / SEEN_ERRORS.length;
    expect(SEEN_ERRORS.length).toBeGreaterThan(400);
    expect(share, JSON.stringify(wrong, null, 1)).toBeGreaterThanOrEqual(RIGHT_SHARE_MIN);
  });

  it("is never confident of a wrong code for them", () => {
    const sure = SEEN_ERRORS.filter(({ codes, text }) => {
      const best = answer(text);
      return best?.confidence === "high" && !codes.includes(best.pattern.code);
    });
    expect(sure).toEqual([]);
  });

  it("knows the code of every error of this engine", () => {
    for (const code of Object.keys(ERRORS)) {
      const best = answer(JSON.stringify({ code, message: "x" }));
      expect(best, code).toBeDefined();
    }
  });
});

describe("what this engine says of HTTP and of paging", () => {
  const codes = Object.keys(ERRORS).filter((code) => /^(HTTP|PAGINATION|SELECTOR)_/.test(code));
  const open = new Set(["HTTP_REFUSED"]);
  it.each(codes.filter((code) => !open.has(code)))("%s has causes and steps", (code) => {
    const { pattern } = answer(JSON.stringify({ code, message: "GET /orders answered" })) ?? {};
    expect(pattern?.code).toBe(code);
    expect(pattern?.causes.length).toBeGreaterThan(0);
    expect(pattern?.steps?.length).toBeGreaterThan(0);
  });
});

describe("a text that is no error of the catalogue", () => {
  it("is one of at least 80", () => expect(UNRELATED.length).toBeGreaterThanOrEqual(80));

  for (const text of UNRELATED) {
    it(`gets no confident answer: ${JSON.stringify(text.slice(0, 60))}`, () => {
      expect(answer(text)?.confidence ?? "none").toMatch(/none|low/);
    });
  }
});

describe("the chain of causes", () => {
  it("is followed to the innermost error, past what only wraps it", () => {
    const text = `dlt.pipeline.exceptions.PipelineStepFailed: Pipeline execution failed at step=load with exception:
<class 'LoadClientJobFailed'> Job with job_id=orders.5ea09d9679.insert_values failed terminally with message: deadlock detected`;
    expect(answer(text)).toMatchObject({ pattern: { code: "PG_DEADLOCK" }, confidence: "high" });
    expect(classify(text).subject.table).toBe("orders");
  });

  it("is told apart: the first exception that Python prints is the innermost", () => {
    const text = `psycopg2.errors.UndefinedColumn: column "x" does not exist

During handling of the above exception, another exception occurred:

FileNotFoundError: [Errno 2] No such file or directory: 'log.txt'`;
    expect(answer(text)?.pattern.code).toBe("PG_COLUMN_MISSING");
  });

  it("trusts a pooler's code before a SQLSTATE, and a SQLSTATE before words in any language", () => {
    expect(answer("(EMAXCONN) limit, code: '08P01'")?.pattern.code).toBe("SUPABASE_POOL_FULL");
    expect(answer("FEHLER: Spalte gibt es nicht (SQLSTATE 42703)")?.pattern.code).toBe("PG_COLUMN_MISSING");
  });

  it("tells of an unknown SQLSTATE at least whether a retry helps", () => {
    expect(classify("SQLSTATE 08P99: odd").unknownSqlstate).toEqual({ sqlstate: "08P99", retry: "yes" });
    expect(classify("SQLSTATE 22P99: odd").unknownSqlstate?.retry).toBe("no");
  });

  it("is not led astray by the source code in a traceback", () => {
    const text = `Traceback (most recent call last):
  File "/app/x.py", line 3, in f
    raise IntegrityError("deadlock detected", code="23505")
ValueError: bad luck`;
    expect(answer(text)).toBeUndefined();
  });
});
