/**
 * Goal: whatever moment a process dies at, each package is in exactly one stage afterwards and none is lost.
 * Method: a scenario runs against a real folder and is killed (by a throw) at the n-th boundary, n = 1, 2, …
 * until it survives; then the store is opened anew as the next run would.
 */

import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultContext } from "../../../src/engine/context.ts";
import { type PackageContent, PackageStore, type StoreOptions } from "../../../src/engine/package/store.ts";
import { type Manifest, STAGES } from "../../../src/engine/package/types.ts";

const A = "1795343521.5";
const B = "1795343522.4872656";
const C = "1795343523.0";
const D = "1795343524.25";
const ERROR = { code: "CONTRACT_VIOLATION", message: "m", hint: "h", retry: "after_fix" } as const;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "store-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function open(options?: StoreOptions, boundary: (name: string) => void = () => {}): PackageStore {
  return new PackageStore(dir, defaultContext({ boundary }), options);
}

function content(load_id: string, format: "typed-jsonl" | "blocks"): PackageContent {
  const file = `t.5ea09d9679.0.${format}`;
  const manifest: Manifest = {
    format: 1,
    load_id,
    pipeline_name: "p",
    schema_name: "shop",
    run_id: "20261122T160245-3e7abc",
    created_at: "2026-11-22T16:02:45.999Z",
    resources: [],
    jobs: [{ file, table: "t", rows: 1, bytes: 8 }],
    state_changed: true,
  };
  return { manifest, schema: `{"name":"shop","load":"${load_id}"}`, state: `{"cursor":"${load_id}"}` };
}

async function extract(store: PackageStore, id: string): Promise<void> {
  const begun = await store.beginExtract(id);
  await writeFile(join(begun.jobsDir, "t.5ea09d9679.0.typed-jsonl"), '[{"a":1}');
  await store.sealExtracted(begun, content(id, "typed-jsonl"));
}

async function normalize(store: PackageStore, id: string): Promise<void> {
  const begun = await store.beginNormalize(id);
  await writeFile(join(begun.jobsDir, "t.5ea09d9679.0.blocks"), "12345678");
  await store.sealNormalized(begun, content(id, "blocks"));
}

const pendingIds = async (store: PackageStore) => (await store.pendingPackages()).map((each) => each.load_id);
const idsAt = async (store: PackageStore, stage: (typeof STAGES)[number]) =>
  (await store.list(stage)).map((each) => each.load_id);

describe("the way of a package", () => {
  test("from extract to loaded: manifest, schema and state stay, rows go, the cursor moves", async () => {
    const store = open();
    await extract(store, A);
    expect(await store.committedState()).toBeUndefined();
    expect(await store.currentState()).toContain(A);
    await normalize(store, A);
    expect((await store.pendingPackages()).map((each) => each.stage)).toEqual(["normalized"]);
    const loaded = await store.markLoaded(A, new Date(0));
    expect((await store.readManifest(loaded)).loaded_at).toBe("1970-01-01T00:00:00.000Z");
    expect((await readdir(loaded.dir)).sort()).toEqual(["manifest.json", "schema.json", "state.json"]);
    expect(await store.committedState()).toBe(`{"cursor":"${A}"}`);
    expect(await store.committedSchemaNames()).toEqual(["shop"]);
    expect(await store.committedSchema("shop")).toContain(A);
    expect(await store.pendingPackages()).toEqual([]);
  });

  test("keepRows keeps the rows of loaded packages", async () => {
    const store = open({ keepRows: true });
    await extract(store, A);
    await normalize(store, A);
    const loaded = await store.markLoaded(A, new Date(0));
    await store.discardUnfinished();
    expect(await readdir(loaded.jobsDir)).toEqual(["t.5ea09d9679.0.blocks"]);
  });

  test("only the newest loaded manifests are kept", async () => {
    const store = open({ loadedManifestsMax: 2 });
    for (const id of [A, B, C]) {
      await extract(store, id);
      await normalize(store, id);
      await store.markLoaded(id, new Date(0));
    }
    expect(await idsAt(store, "loaded")).toEqual([B, C]);
    expect(await store.newestLoadId()).toBe(C);
  });

  test("reading a store makes no folder", async () => {
    const store = open();
    expect(await store.list("loaded")).toEqual([]);
    expect(await store.newestLoadId()).toBeUndefined();
    expect(await readdir(dir)).toEqual([]);
  });
});

describe("what must hold", () => {
  test("sealing twice is refused", async () => {
    const store = open();
    const begun = await store.beginExtract(A);
    await writeFile(join(begun.jobsDir, "t.5ea09d9679.0.typed-jsonl"), '[{"a":1}');
    await store.sealExtracted(begun, content(A, "typed-jsonl"));
    await expect(store.sealExtracted(begun, content(A, "typed-jsonl"))).rejects.toThrow(
      "should be extracting, but is",
    );
    await normalize(store, A);
    await expect(store.beginNormalize(A)).rejects.toThrow("should be extracted, but is normalized");
  });

  test("beginning twice, or before a pending package, is refused", async () => {
    const store = open();
    await extract(store, B);
    await expect(store.beginExtract(B)).rejects.toThrow("already extracted");
    await expect(store.beginExtract(A)).rejects.toThrow("would come before");
    await expect(store.beginExtract("../x")).rejects.toThrow("not a load id");
  });

  test("loading out of order is refused", async () => {
    const store = open();
    for (const id of [A, B]) await extract(store, id);
    await normalize(store, B);
    await expect(store.markLoaded(B, new Date(0))).rejects.toThrow("before the older package");
    await expect(store.markLoaded(C, new Date(0))).rejects.toMatchObject({ code: "PACKAGE_NOT_FOUND" });
  });

  test("a job that is missing, cut short or unknown is refused with its path", async () => {
    const store = open();
    const begun = await store.beginExtract(A);
    const seal = () => store.sealExtracted(begun, content(A, "typed-jsonl"));
    await expect(seal()).rejects.toMatchObject({ code: "PACKAGE_CORRUPT" });
    const job = join(begun.jobsDir, "t.5ea09d9679.0.typed-jsonl");
    await writeFile(job, "cut");
    await expect(seal()).rejects.toThrow("has 3 bytes instead of 8");
    await writeFile(job, '[{"a":1}');
    await writeFile(join(begun.jobsDir, "stray"), "");
    await expect(seal()).rejects.toThrow("is not in the manifest");
  });

  test("a manifest that is missing, broken or another's is PACKAGE_CORRUPT, and the package can be dropped", async () => {
    const store = open();
    await extract(store, A);
    const [ref] = await store.pendingPackages();
    const path = join(ref!.dir, "manifest.json");
    for (const text of ["{", "null", '{"format":1}', JSON.stringify(content(B, "blocks").manifest)]) {
      await writeFile(path, text);
      await expect(store.readManifest(ref!)).rejects.toMatchObject({
        code: "PACKAGE_CORRUPT",
        details: { path },
      });
    }
    await rm(path);
    await expect(store.readManifest(ref!)).rejects.toMatchObject({
      code: "PACKAGE_CORRUPT",
      details: { path },
    });
    await store.dropPending(A);
    expect(await store.pendingPackages()).toEqual([]);
  });
});

describe("dropping", () => {
  test("a package takes all later pending ones along, and the cursor goes back", async () => {
    const store = open();
    for (const id of [A, B, C]) await extract(store, id);
    await normalize(store, A);
    const drop = await store.dropPending(B);
    expect(drop.packages.map((each) => each.load_id)).toEqual([B, C]);
    expect(await pendingIds(store)).toEqual([A]);
    expect(await store.currentState()).toContain(A);
    expect(await store.newestLoadId()).toBe(C);
  });

  test("can be undone, each package to the stage it had", async () => {
    const store = open();
    for (const id of [A, B]) await extract(store, id);
    await normalize(store, A);
    await store.dropPending();
    expect(await store.restoreDropped(A)).toEqual([A, B]);
    expect((await store.pendingPackages()).map((each) => each.stage)).toEqual(["normalized", "extracted"]);
    expect(await store.listDrops()).toEqual([]);
    await expect(store.restoreDropped(A)).rejects.toMatchObject({ code: "PACKAGE_NOT_FOUND" });
  });

  test("cannot be undone once a later package has fetched the rows again", async () => {
    const store = open();
    await extract(store, A);
    await store.dropPending();
    await extract(store, B);
    await expect(store.restoreDropped(A)).rejects.toMatchObject({ code: "PACKAGE_SUPERSEDED" });
  });

  test("keeps the newest drops only", async () => {
    const store = open({ dropsMax: 2 });
    for (const id of [A, B, C]) {
      await extract(store, id);
      await store.dropPending();
    }
    expect((await store.listDrops()).map((each) => each.first)).toEqual([B, C]);
  });

  test("with nothing pending says so", async () => {
    await expect(open().dropPending()).rejects.toMatchObject({ code: "NOTHING_PENDING" });
  });

  test("a failed package takes later ones along, keeps its rows and the error, and they cannot come back", async () => {
    const store = open();
    for (const id of [A, B, C]) await extract(store, id);
    await store.beginNormalize(B);
    const { failed, dropped } = await store.setAside(B, ERROR);
    expect(dropped).toEqual([C]);
    expect((await store.readVerified(failed)).error).toEqual(ERROR);
    expect(await readdir(join(dir, "normalizing"))).toEqual([]);
    expect(await pendingIds(store)).toEqual([A]);
    await expect(store.restoreDropped(B)).rejects.toMatchObject({ code: "PACKAGE_SUPERSEDED" });
    await store.remove("failed", B);
    expect(await store.list("failed")).toEqual([]);
  });
});

class Crash extends Error {}

/** Runs the scenario with a crash at boundary 1, 2, … until it survives; answers where it crashed. */
async function sweep(
  scenario: (store: PackageStore) => Promise<unknown>,
  check: (store: PackageStore, at: string) => Promise<void>,
): Promise<string[]> {
  const crashes: string[] = [];
  for (let n = 1; ; n++) {
    await rm(dir, { recursive: true, force: true });
    let calls = 0;
    let at = "none";
    const store = open({ loadedManifestsMax: 2 }, (name) => {
      if (++calls !== n) return;
      at = name;
      throw new Crash(name);
    });
    const survived = await scenario(store).then(
      () => true,
      (error: unknown) => {
        if (!(error instanceof Crash)) throw error;
        return false;
      },
    );
    const next = open({ loadedManifestsMax: 2 });
    await next.discardUnfinished();
    await check(next, at);
    if (survived) return crashes;
    crashes.push(at);
  }
}

async function everyFolder(): Promise<string[]> {
  const found: string[] = [];
  for (const stage of ["extracting", "normalizing", "removing", ...STAGES]) {
    found.push(...(await readdir(join(dir, stage)).catch(() => [])));
  }
  for (const first of await readdir(join(dir, "dropped")).catch(() => [])) {
    for (const stage of ["extracted", "normalized"]) {
      found.push(...(await readdir(join(dir, "dropped", first, stage)).catch(() => [])));
    }
  }
  return found.sort();
}

describe("a crash", () => {
  test("between the two renames of sealing leaves one package", async () => {
    const store = open({}, (name) => {
      if (name === "package:normalized:after") throw new Crash();
    });
    await extract(store, A);
    await expect(normalize(store, A)).rejects.toThrow(Crash);
    expect(await readdir(join(dir, "extracted"))).toEqual([A]);
    expect(await readdir(join(dir, "normalized"))).toEqual([A]);
    expect(await pendingIds(store)).toEqual([A]);
    expect(await open().discardUnfinished()).toEqual({ extracting: [], normalizing: [], extracted: [A] });
    expect(await everyFolder()).toEqual([A]);
  });

  test("at any boundary of three loads leaves each package once, whole, and the state of the last loaded", async () => {
    const crashes = await sweep(
      async (store) => {
        for (const id of [A, B, C]) {
          await extract(store, id);
          await normalize(store, id);
          await store.markLoaded(id, new Date(0));
        }
      },
      async (store) => {
        const folders = await everyFolder();
        expect(folders).toEqual([...new Set(folders)]);
        for (const ref of await store.pendingPackages()) await store.readVerified(ref);
        for (const ref of await store.list("loaded")) {
          await store.readManifest(ref);
          expect(await readdir(ref.dir)).not.toContain("new");
        }
        // the next run finishes what is pending
        for (const { load_id, stage } of await store.pendingPackages()) {
          if (stage === "extracted") await normalize(store, load_id);
          await store.markLoaded(load_id, new Date(1));
        }
        const last = (await idsAt(store, "loaded")).at(-1);
        expect(await store.committedState()).toBe(last === undefined ? undefined : `{"cursor":"${last}"}`);
      },
    );
    const seal = (stage: string) =>
      ["jobs", "schema", "state", "before", "after"].map((point) => `package:${stage}:${point}`);
    expect(new Set(crashes)).toEqual(
      new Set([
        "package:extracting:begun",
        ...seal("extracted"),
        "package:normalizing:begun",
        ...seal("normalized"),
        "package:removed:before",
        "package:removed:after",
        "committed:schema",
        "committed:state",
        "package:loaded:manifest",
        "package:loaded:before",
        "package:loaded:after",
        "package:loaded:rows_removed",
      ]),
    );
  });

  test("at any boundary of dropping, restoring and setting aside leaves each package once and no gap", async () => {
    const crashes = await sweep(
      async (store) => {
        for (const id of [A, B, C, D]) await extract(store, id);
        await normalize(store, A);
        await store.dropPending(C);
        await store.restoreDropped(C);
        await store.setAside(B, ERROR);
      },
      async (store) => {
        const folders = await everyFolder();
        expect(folders).toEqual([...new Set(folders)]);
        const pending = await pendingIds(store);
        expect(pending).toEqual([A, B, C, D].slice(0, pending.length));
        for (const ref of await store.pendingPackages()) await store.readVerified(ref);
      },
    );
    for (const each of ["dropped", "restored", "failed"]) {
      expect(crashes).toContain(`package:${each}:before`);
      expect(crashes).toContain(`package:${each}:after`);
    }
  });

  test("in the middle of a write leaves no temporary file behind", async () => {
    const store = open();
    await store.writeCommittedState("{}");
    await writeFile(join(dir, ".state.json.0123456789ab.tmp"), "{");
    await store.discardUnfinished();
    expect(await readdir(dir)).toEqual(["state.json"]);
  });
});
