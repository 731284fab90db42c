import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseTypedJson, plainJson, typedJson } from "../../src/engine/interop/json.ts";
import {
  bumpState,
  decodeStateBlob,
  encodeStateBlob,
  newState,
  type PipelineState,
  stateHash,
} from "../../src/engine/interop/state.ts";

interface Golden {
  states: [json: string, version: number, hash: string, blob: string][];
}
const golden = JSON.parse(readFileSync(new URL("../golden/schema.json", import.meta.url), "utf8")) as Golden;

describe("the pipeline state", () => {
  it("has dlt's hash", () => {
    const state: PipelineState = {
      ...newState(),
      dataset_name: "d",
      default_schema_name: "p",
      destination_name: null,
      destination_type: "dlt.destinations.duckdb",
      pipeline_name: "p",
      schema_names: ["p"],
      sources: {},
    };
    expect(stateHash(state)).toBe("auSg2JIoXA+YqZLbpHyAMpDZCILY69I6+D3+QaLjH9o=");
  });

  it("gets its first hash without a new version, and a version per change", () => {
    for (const [json, version, hash] of golden.states) {
      const state = parseTypedJson(json) as unknown as PipelineState;
      expect(bumpState(state)).toBe(false);
      expect([state._state_version, state._version_hash]).toEqual([version, hash]);
    }
    const state = newState();
    expect([bumpState(state), state._state_version]).toEqual([true, 0]);
    state.sources = { s: {} };
    expect([bumpState(state), state._state_version]).toEqual([true, 1]);
    expect(bumpState(state)).toBe(false);
  });

  it("travels as a blob without local facts, which dlt's blobs and plain JSON decode to", () => {
    for (const [json, , hash, blob] of golden.states) {
      const state = parseTypedJson(json) as unknown as PipelineState;
      const decoded = decodeStateBlob(blob);
      expect(decoded._local).toBeUndefined();
      expect(stateHash(decoded)).toBe(hash);
      expect(typedJson(decodeStateBlob(encodeStateBlob(state)))).toBe(typedJson(decoded));
      expect(stateHash(decodeStateBlob(json))).toBe(hash);
    }
    expect(() => decodeStateBlob("AAAA")).toThrow(expect.objectContaining({ code: "SCHEMA_INVALID" }));
    expect(() => decodeStateBlob(plainJson({}))).toThrow(/no version/);
  });
});
