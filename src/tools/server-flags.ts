/** Flags of `loadwright mcp`. One that is not known refuses to start: a mistyped guard would guard nothing. */

import { parseArgs } from "node:util";
import { EngineError } from "../engine/errors.ts";
import { didYouMean } from "../engine/nearest.ts";
import { type Mode, OPENABLE_MODES } from "./gates.ts";

export interface ServerFlags {
  /** Folder of the workspace; the nearest one when absent. */
  readonly workspace?: string;
  readonly allow: readonly Mode[];
  readonly requireHuman: boolean;
}

const FLAGS = ["--workspace", "--allow", "--require-human"];

export function parseServerFlags(argv: readonly string[]): ServerFlags {
  let values: { workspace?: string; allow?: string[]; "require-human"?: boolean };
  try {
    ({ values } = parseArgs({
      args: [...argv],
      strict: true,
      allowPositionals: false,
      options: {
        workspace: { type: "string" },
        allow: { type: "string", multiple: true },
        "require-human": { type: "boolean" },
      },
    }));
  } catch (cause) {
    const unknown = argv.find((each) => each.startsWith("-") && !FLAGS.includes(each.split("=")[0] ?? ""));
    const message = unknown === undefined ? String((cause as Error).message) : `Unknown flag ${unknown}.`;
    const guess = unknown === undefined ? "" : didYouMean(unknown, FLAGS);
    throw new EngineError("CONFIG_INVALID", `${message} ${guess}`.trim(), {
      hint: `The flags are ${FLAGS.join(", ")}.`,
    });
  }
  return {
    workspace: values.workspace,
    allow: (values.allow ?? []).flatMap((list) => list.split(",")).map(modeOf),
    requireHuman: values["require-human"] ?? false,
  };
}

export function modeOf(text: string): Mode {
  const name = text.trim();
  const mode = OPENABLE_MODES.find((each) => each === name);
  if (mode !== undefined) return mode;
  throw new EngineError(
    "CONFIG_INVALID",
    `--allow ${JSON.stringify(name)} is not a mode. ${didYouMean(name, OPENABLE_MODES)}`.trim(),
    {
      hint: `The modes are ${OPENABLE_MODES.join(", ")}; reading is always allowed.`,
    },
  );
}
