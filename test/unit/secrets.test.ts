import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EngineError } from "../../src/engine/errors.ts";
import { Secrets } from "../../src/tools/secrets.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "loadwright-secrets-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

function secrets(environment: Record<string, string> = {}): Secrets {
  return new Secrets({ workspaceDir: dir, pipelineName: "shop", environment });
}

function missing(given: Secrets, key: string): EngineError {
  try {
    given.forSource("everflow")[key];
  } catch (error) {
    if (error instanceof EngineError) return error;
  }
  throw new Error("expected CONFIG_MISSING");
}

describe("lookup order", () => {
  it("is pipeline prefix first, then environment, .env, secrets.toml, longest section first", () => {
    const key = (value: Record<string, string>): string | undefined =>
      secrets(value).ofSource("everflow", "api_key");
    writeFileSync(join(dir, "secrets.toml"), 'api_key = "toml-bare"\n');
    expect(key({})).toBe("toml-bare");
    writeFileSync(join(dir, "secrets.toml"), '[sources.everflow]\napi_key = "toml"\n');
    expect(key({})).toBe("toml");
    writeFileSync(join(dir, ".env"), "SOURCES__EVERFLOW__API_KEY=dotenv\n");
    expect(key({})).toBe("dotenv");
    expect(key({ API_KEY: "bare" })).toBe("bare");
    expect(key({ API_KEY: "bare", SOURCES__API_KEY: "sources" })).toBe("sources");
    expect(key({ SOURCES__API_KEY: "sources", SOURCES__EVERFLOW__API_KEY: "env" })).toBe("env");
    writeFileSync(join(dir, "secrets.toml"), '[shop.sources.everflow]\napi_key = "prefixed"\n');
    expect(key({ SOURCES__EVERFLOW__API_KEY: "env" })).toBe("prefixed");
  });

  it("takes an empty entry as not set", () => {
    writeFileSync(join(dir, ".env"), "SOURCES__EVERFLOW__API_KEY=\n");
    expect(secrets().ofSource("everflow", "api_key")).toBeUndefined();
  });

  it("gives destinations dotted keys", () => {
    writeFileSync(join(dir, "secrets.toml"), '[destination.postgres.credentials]\npassword = "pw-12345"\n');
    expect(secrets().ofDestination("postgres", "credentials.password")).toBe("pw-12345");
    expect(() => secrets().requireOfDestination("postgres", "credentials.username")).toThrow(
      /needs the secret "credentials.username"/,
    );
  });

  it("lets a source ask whether a secret is there", () => {
    const given = secrets({ SOURCES__EVERFLOW__API_KEY: "env" }).forSource("everflow");
    expect("api_key" in given).toBe(true);
    expect("other" in given).toBe(false);
    expect(JSON.stringify(given)).toBe("{}");
  });
});

describe("a missing secret", () => {
  it("is named with the variable and the file entry to set", () => {
    const error = missing(secrets(), "api_key");
    expect(error.code).toBe("CONFIG_MISSING");
    expect(error.message).toBe('The source everflow needs the secret "api_key", which is not set.');
    expect(error.hint).toContain("SOURCES__EVERFLOW__API_KEY");
    expect(error.hint).toContain('[sources.everflow] api_key = "…" in secrets.toml');
  });

  it.each([
    ["spelling", { SOURCES_EVERFLOW_API_KEY: "value-1" }, "SOURCES_EVERFLOW_API_KEY"],
    ["spelling", { SOURCES__EVERFLW__APIKEY: "value-1" }, "SOURCES__EVERFLW__APIKEY"],
    ["other_section", { SOURCES__REDTRACK__API_KEY: "value-1" }, "SOURCES__REDTRACK__API_KEY"],
    ["empty", { SOURCES__EVERFLOW__API_KEY: "" }, "SOURCES__EVERFLOW__API_KEY"],
  ] as const)("names a near miss: %s", (why, environment, name) => {
    const error = missing(secrets(environment), "api_key");
    expect(error.details.near_misses).toContainEqual({ where: "environment", name, why });
    expect(error.message).toContain(name);
    expect(error.message).not.toContain("value-1");
  });

  it("is found in dlt's own folder, which is not read", () => {
    mkdirSync(join(dir, ".dlt"));
    writeFileSync(join(dir, ".dlt/secrets.toml"), '[sources.everflow]\napi_key = "value-1"\n');
    expect(missing(secrets(), "api_key").details.near_misses).toEqual([
      { where: ".dlt/secrets.toml", name: "sources.everflow.api_key", why: "other_file" },
    ]);
  });

  it("says nothing of unrelated entries", () => {
    expect(
      missing(secrets({ PATH: "/bin", HOME: "/root", OTHER_KEY: "x" }), "api_key").details.near_misses,
    ).toEqual([]);
  });
});

describe("a broken secrets.toml", () => {
  it("is refused without quoting its text", () => {
    writeFileSync(join(dir, "secrets.toml"), 'api_key = "hunter2hunter2\n');
    expect(() => secrets()).toThrow(/secrets\.toml:1:\d+: not valid TOML$/);
  });
});

describe("mask", () => {
  it("hides resolved secrets in every form they travel in", () => {
    const given = secrets({ SOURCES__EVERFLOW__API_KEY: 'p@ss "word"/1' });
    given.ofSource("everflow", "api_key");
    for (const form of [
      'p@ss "word"/1',
      encodeURIComponent('p@ss "word"/1'),
      JSON.stringify('p@ss "word"/1'),
    ]) {
      expect(given.mask(`before ${form} after`)).not.toMatch(/word/);
    }
    expect(given.maskAll({ a: ['x p@ss "word"/1'], n: 1 })).toEqual({ a: ["x ***"], n: 1 });
  });

  it("hides what stands in secrets.toml although nobody asked for it, but not hosts and users", () => {
    writeFileSync(
      join(dir, "secrets.toml"),
      '[d.credentials]\nhost = "localhost"\npassword = "correct-horse"\n',
    );
    expect(secrets().mask("correct-horse at localhost")).toBe("*** at localhost");
  });

  it("leaves the current folder alone, which shells name PWD", () => {
    const given = secrets({ PWD: "/home/ada/warehouse", DB_PWD: "correct-horse" });
    expect(given.mask("/home/ada/warehouse/shop.duckdb")).toBe("/home/ada/warehouse/shop.duckdb");
    expect(given.mask("correct-horse")).toBe("***");
  });

  it("leaves words alone that hold a short secret", () => {
    const given = secrets({ SOURCES__EVERFLOW__PIN: "row" });
    given.ofSource("everflow", "pin");
    expect(given.mask("rows of row")).toBe("rows of ***");
  });
});

describe("a name of a secret in the settings", () => {
  it("is not masked, a value is", () => {
    const settings = { token: { secret: "shop_token" }, api_key: "a-literal-value" };
    const made = new Secrets({ workspaceDir: dir, environment: {}, configs: [settings] });
    expect(made.mask("shop_token a-literal-value")).toBe("shop_token ***");
  });
});

describe("a secret in another form", () => {
  const secret = "tok/en+1234 5678==&<x";
  const basic = (text: string): string => Buffer.from(text).toString("base64");

  it("is masked as well: in URLs, headers, JSON, pages and dumps", () => {
    writeFileSync(join(dir, ".env"), `SOURCES__EVERFLOW__API_KEY="${secret}"\n`);
    const given = secrets();
    given.forSource("everflow").api_key;
    const percent = encodeURIComponent(secret);
    const forms = [
      percent,
      percent.toLowerCase(),
      percent.replaceAll("%20", "+"),
      new URLSearchParams({ key: secret }).toString(),
      JSON.stringify({ key: secret }),
      secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;"),
      Buffer.from(secret).toString("hex"),
      Buffer.from(secret).toString("base64url"),
    ];
    for (const form of forms) {
      expect(given.mask(`GET ${form} failed`), form).toContain("***");
      expect(given.mask(form), form).not.toContain("1234");
    }
    // of the password at most the last letter is left, with the bits of what follows it
    for (const user of ["", "u", "us", "user", "some-one"]) {
      for (const end of ["", ":", ":x"]) {
        const header = basic(`${user}:${secret}${end}`);
        const left = given.mask(header).split("***");
        expect(left, header).toHaveLength(2);
        expect(Buffer.from(left[0]!, "base64").toString()).toMatch(/^[^/]{0,9}$/);
        expect(left[1]!.length).toBeLessThanOrEqual(6);
      }
    }
  });

  it("is not looked for where it is short", () => {
    writeFileSync(join(dir, ".env"), "SOURCES__EVERFLOW__API_KEY=ab12\n");
    const given = secrets();
    given.forSource("everflow").api_key;
    expect(given.mask(`ab12 ${basic("ab12")} xab12`)).toBe(`*** ${basic("ab12")} xab12`);
  });
});
