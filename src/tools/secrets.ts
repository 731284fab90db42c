/**
 * Secrets by dlt's names and order: with the pipeline's name in front through all providers, then without;
 * per provider from the longest section to none. Providers: the environment, `.env` and `secrets.toml` of
 * the workspace. Whatever was resolved is known to `mask`, so that no log, trace or error shows it.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseEnv } from "dotenv";
import { distance } from "fastest-levenshtein";
import { parse as parseToml, TomlError } from "smol-toml";
import { EngineError } from "../engine/errors.ts";
import { formsOf } from "./secret-forms.ts";

export const ENV_FILE = ".env";
export const SECRETS_FILE = "secrets.toml";

/** A shorter value is too likely to be part of an ordinary word; it is masked only where it stands alone. */
const MASK_ANYWHERE_LENGTH = 6;
export const MASK = "***";

/** Parts of credentials that messages may show, although they stand in secrets.toml. */
const PUBLIC_KEYS = new Set(["host", "port", "database", "username", "user", "type", "path", "schema"]);

/** A shorter value is masked only once it was resolved. */
const LEARN_UNASKED_LENGTH = 8;

interface Provider {
  /** `environment`, `.env` or `secrets.toml`. */
  readonly name: string;
  /** How this provider writes a path: `SOURCES__SHOP__API_KEY` or `sources.shop.api_key`. */
  readonly write: (path: readonly string[]) => string;
  /** Written path -> value. */
  readonly values: ReadonlyMap<string, string>;
  /** Read by nobody, searched for near misses. */
  readonly foreign?: true;
}

export interface SecretsOptions {
  readonly workspaceDir: string;
  /** Looked up first as a prefix: `SHOP__SOURCES__EVERFLOW__API_KEY`. */
  readonly pipelineName?: string;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Settings of sources as written: what looks like a secret in them is masked as well. */
  readonly configs?: readonly unknown[];
}

/** What a source is handed: `secrets.api_key` is the value or throws CONFIG_MISSING; `"api_key" in secrets` asks. */
export type SourceSecrets = Readonly<Record<string, string>>;

export class Secrets {
  readonly #providers: readonly Provider[];
  readonly #pipelineName: string | undefined;
  readonly #known = new Set<string>();
  /** Of what is known; made anew when more is. */
  #pattern: RegExp | undefined;

  constructor(options: SecretsOptions) {
    this.#pipelineName = options.pipelineName;
    this.#providers = [
      {
        name: "environment",
        write: envName,
        values: new Map(
          Object.entries(options.environment ?? process.env).flatMap(([key, value]) =>
            value === undefined ? [] : [[key, value] as const],
          ),
        ),
      },
      { name: ENV_FILE, write: envName, values: readEnvFile(join(options.workspaceDir, ENV_FILE)) },
      { name: SECRETS_FILE, write: dotted, values: readTomlFile(join(options.workspaceDir, SECRETS_FILE)) },
      {
        name: ".dlt/secrets.toml",
        write: dotted,
        values: readTomlFile(join(options.workspaceDir, ".dlt", SECRETS_FILE)),
        foreign: true,
      },
    ];
    for (const provider of this.#providers) {
      for (const [name, value] of provider.values) {
        if (value.length >= LEARN_UNASKED_LENGTH && isSecretName(provider, name)) this.#learn(value);
        this.#learnPasswordOf(value);
      }
    }
    for (const config of options.configs ?? []) {
      for (const [path, value] of leaves(withoutReferences(config), [])) {
        if (value.length >= LEARN_UNASKED_LENGTH && isSecretKey(path.split(".").at(-1) ?? ""))
          this.#learn(value);
        this.#learnPasswordOf(value);
      }
    }
  }

  /** The value of a secret of the server itself, as `MCP__TOKEN` or `[mcp] token`. */
  ofServer(key: string): string | undefined {
    return this.#find([["mcp"]], key);
  }

  /** The value of a secret of a source, or undefined. */
  ofSource(source: string, key: string): string | undefined {
    return this.#find(sourceSections(source), key);
  }

  /** The value of a secret of a destination, or undefined. `key` may be dotted: `credentials.password`. */
  ofDestination(destination: string, key: string): string | undefined {
    return this.#find(destinationSections(destination), key);
  }

  requireOfDestination(destination: string, key: string): string {
    const value = this.ofDestination(destination, key);
    if (value === undefined) {
      throw this.#missing(`The destination ${destination}`, destinationSections(destination), key);
    }
    return value;
  }

  forSource(source: string): SourceSecrets {
    const find = (key: string): string | undefined => this.ofSource(source, key);
    const missing = (key: string): EngineError =>
      this.#missing(`The source ${source}`, sourceSections(source), key);
    return new Proxy<Record<string, string>>(Object.create(null), {
      get(_target, key) {
        // symbols and `then`, `toJSON` are asked by the runtime (await, inspect, stringify), not by the source
        if (typeof key === "symbol" || key === "then" || key === "toJSON") return undefined;
        const value = find(key);
        if (value === undefined) throw missing(key);
        return value;
      },
      has: (_target, key) => typeof key === "string" && find(key) !== undefined,
      ownKeys: () => [],
      set: () => false,
    });
  }

  /** Is the secret there, and where? For tools that show which names are missing; never the value. */
  locate(source: string, key: string): { found: boolean; provider?: string; name: string } {
    const sections = sourceSections(source);
    const place = this.#search(sections, key);
    if (place === undefined) return { found: false, name: envName([...(sections[0] ?? []), key]) };
    return { found: true, provider: place.provider.name, name: place.name };
  }

  /** A secret that was found inside another, as the password in a connection URL: masked from now on. */
  alsoMask(secret: string): void {
    this.#learn(secret);
  }

  /** The text without any secret that was resolved or that stands in secrets.toml. */
  mask(text: string): string {
    this.#pattern ??= patternOf([...this.#known]);
    return text.replace(this.#pattern, MASK);
  }

  /** `mask` on every string inside a JSON-like value; other values stay as they are. */
  maskAll<T>(value: T): T {
    return maskInside(value, (text) => this.mask(text)) as T;
  }

  #learn(secret: string): void {
    if (secret.length < 3) return;
    // other forms of a short one may be anything
    const forms =
      secret.length >= MASK_ANYWHERE_LENGTH
        ? formsOf(secret)
        : [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)];
    for (const form of forms) this.#known.add(form);
    this.#pattern = undefined;
    // drivers tell parts of a connection URL
    const password = /^[a-z][a-z0-9+.-]*:\/\/[^:@/]*:(.+)@/i.exec(secret)?.[1];
    if (password !== undefined) this.#learn(percentDecoded(password));
  }

  /**
   * The password inside a connection URL. One that is also the URL's user, host or database is somebody's
   * default and too ordinary a word to be taken out of every answer.
   */
  #learnPasswordOf(value: string): void {
    const [, user, password, rest] =
      /^[a-z][a-z0-9+.-]*:\/\/([^:@/\s]*):([^@/\s]+)@(\S*)$/i.exec(value) ?? [];
    if (password === undefined || password.length < MASK_ANYWHERE_LENGTH) return;
    if (password === user || rest?.split(/[:/?]/).includes(password)) return;
    this.#learn(value);
    this.#learn(password);
    try {
      this.#learn(decodeURIComponent(password));
    } catch {
      // a lone % is part of the password
    }
  }

  #find(sections: readonly (readonly string[])[], key: string): string | undefined {
    const place = this.#search(sections, key);
    if (place === undefined) return undefined;
    if (!PUBLIC_KEYS.has(key.split(".").at(-1) ?? "")) this.#learn(place.value);
    return place.value;
  }

  #search(
    sections: readonly (readonly string[])[],
    key: string,
  ): { provider: Provider; name: string; value: string } | undefined {
    const prefixes = this.#pipelineName === undefined ? [[]] : [[this.#pipelineName], []];
    for (const prefix of prefixes) {
      for (const provider of this.#providers) {
        if (provider.foreign) continue;
        for (const section of sections) {
          const name = provider.write([...prefix, ...section, ...key.split(".")]);
          const value = provider.values.get(name);
          // an empty entry is a form that nobody filled in
          if (value !== undefined && value !== "") return { provider, name, value };
        }
      }
    }
    return undefined;
  }

  #missing(owner: string, sections: readonly (readonly string[])[], key: string): EngineError {
    const path = [...(sections[0] ?? []), ...key.split(".")];
    const table = path.slice(0, -1).join(".");
    const entry = `[${table}] ${path.at(-1)} = "…"`;
    const near = this.#nearMisses(sections, key);
    const found = near.length === 0 ? "" : ` Not used, but close: ${near.map(tell).join("; ")}.`;
    return new EngineError(
      "CONFIG_MISSING",
      `${owner} needs the secret "${key}", which is not set.${found}`,
      {
        hint: `Set the environment variable ${envName(path)} (or that line in ${ENV_FILE}), or write ${entry} in ${SECRETS_FILE}.`,
        details: {
          key,
          environment_variable: envName(path),
          file: SECRETS_FILE,
          entry,
          looked_up: this.#lookedUp(sections, key),
          near_misses: near,
        },
      },
    );
  }

  #lookedUp(sections: readonly (readonly string[])[], key: string): string[] {
    const prefixes = this.#pipelineName === undefined ? [[]] : [[this.#pipelineName], []];
    return prefixes.flatMap((prefix) =>
      sections.map((section) => envName([...prefix, ...section, ...key.split(".")])),
    );
  }

  /** Entries that somebody probably meant for this key: misspelt, in another section, empty, in another file. */
  #nearMisses(sections: readonly (readonly string[])[], key: string): NearMiss[] {
    const near: (NearMiss & { distance: number })[] = [];
    const wanted = this.#lookedUp(sections, key).map(comparable);
    for (const provider of this.#providers) {
      for (const [name, value] of provider.values) {
        const other = comparable(name);
        const edits = Math.min(...wanted.map((candidate) => distance(candidate, other)));
        if (edits === 0) {
          const why = provider.foreign ? "other_file" : value === "" ? "empty" : "spelling";
          near.push({ where: provider.name, name, why, distance: 0 });
        } else if (sameKeyElsewhere(name, key)) {
          near.push({ where: provider.name, name, why: "other_section", distance: 4 });
        } else if (other.length > 6 && edits <= Math.min(3, Math.floor(other.length / 6))) {
          near.push({ where: provider.name, name, why: "spelling", distance: edits });
        }
      }
    }
    near.sort((a, b) => a.distance - b.distance);
    return near.slice(0, 5).map(({ where, name, why }) => ({ where, name, why }));
  }
}

export interface NearMiss {
  readonly where: string;
  readonly name: string;
  readonly why: "spelling" | "other_section" | "empty" | "other_file";
}

function tell(miss: NearMiss): string {
  const why = {
    spelling: "spelt differently",
    other_section: "in another section",
    empty: "set, but empty",
    other_file: `in a file that is not read; copy it to ${SECRETS_FILE}`,
  }[miss.why];
  return `${miss.name} in ${miss.where} (${why})`;
}

/** Masked although nobody asked for it: a source may read the environment itself, and a crash may print it. */
function isSecretName(provider: Provider, name: string): boolean {
  const key = name.split(/__|\./).at(-1) ?? "";
  if (provider.write === dotted) return !PUBLIC_KEYS.has(key);
  // what shells call the current folder, which stands in every path
  if (name === "PWD") return false;
  return /(^|_)key$/i.test(key) || isSecretKey(key);
}

/** In settings, where `primary_key` is the name of a column. camelCase counts too, as some sources write it. */
function isSecretKey(key: string): boolean {
  return /(^|_)((api|access|secret|private|auth|client|signing|account)_?key|token|secret|password|passwd|pwd|pat|dsn|authorization|credentials?)$/i.test(
    key.replace(/([a-z])([A-Z])/g, "$1_$2"),
  );
}

/** `{ secret = "shop_token" }` holds the name of a secret, which everybody may read. */
function withoutReferences(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value);
  if (entries.length === 1 && entries[0]?.[0] === "secret") return {};
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutReferences(inner)]));
}

/** All of them in one pass; longest first, because a secret may be part of another. */
function patternOf(known: readonly string[]): RegExp {
  if (known.length === 0) return /(?!)/g;
  const parts = [...known]
    .sort((a, b) => b.length - a.length)
    .map((secret) => {
      const literal = escapeRegExp(secret);
      return secret.length >= MASK_ANYWHERE_LENGTH ? literal : `(?<![\\w-])${literal}(?![\\w-])`;
    });
  return new RegExp(parts.join("|"), "g");
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** dlt looks from the longest section to none; the module of a source has its name here. */
function sourceSections(source: string): string[][] {
  return [["sources", source], ["sources", source, source], ["sources"], []];
}

function destinationSections(destination: string): string[][] {
  return [["destination", destination], ["destination"], []];
}

function envName(path: readonly string[]): string {
  return path.join("__").toUpperCase();
}

function dotted(path: readonly string[]): string {
  return path.join(".");
}

/** One form for names of all providers: case, separators and the plural of the first section do not count. */
function comparable(name: string): string {
  return name.toLowerCase().replace(/[_.\-\s]+/g, "_");
}

function sameKeyElsewhere(name: string, key: string): boolean {
  const parts = name.toLowerCase().split(/__|\./);
  return parts.length > 1 && comparable(parts.at(-1) ?? "") === comparable(key.split(".").at(-1) ?? "");
}

function readEnvFile(file: string): Map<string, string> {
  const text = readIfThere(file);
  return new Map(text === undefined ? [] : Object.entries(parseEnv(text)));
}

function readTomlFile(file: string): Map<string, string> {
  const text = readIfThere(file);
  if (text === undefined) return new Map();
  try {
    return new Map(leaves(parseToml(text), []));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // the parser's message quotes the line, which may hold a secret: only the place is told
    throw new EngineError("CONFIG_INVALID", `${file}:${error.line}:${error.column}: not valid TOML`, {
      details: { file, line: error.line, column: error.column },
    });
  }
}

function* leaves(value: unknown, path: readonly string[]): Generator<[string, string]> {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)) {
    for (const [key, inner] of Object.entries(value)) yield* leaves(inner, [...path, key]);
  } else if (typeof value === "object") {
    yield [dotted(path), JSON.stringify(value)];
  } else {
    yield [dotted(path), String(value)];
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new EngineError("CONFIG_INVALID", `${file} cannot be read`, { cause: error });
  }
}

function maskInside(value: unknown, mask: (text: string) => string): unknown {
  if (typeof value === "string") return mask(value);
  if (Array.isArray(value)) return value.map((inner) => maskInside(inner, mask));
  if (typeof value !== "object" || value === null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [mask(key), maskInside(inner, mask)]),
  );
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
