/** Flags of `loadwright mcp`. One that is not known refuses to start: a mistyped guard would guard nothing. */

import { type Command, InvalidArgumentError } from "commander";
import { type Mode, OPENABLE_MODES } from "./gates.ts";

export interface ServerFlags {
  /** Folder of the workspace; the nearest one when absent. */
  readonly workspace?: string;
  readonly allow?: readonly Mode[];
  readonly requireHuman?: boolean;
  readonly hideBlocked?: boolean;
  readonly http?: boolean;
  readonly host: string;
  readonly port: number;
  readonly allowedHosts?: readonly string[];
}

export const PORT = 8765;

export function withServerFlags(command: Command): Command {
  return command
    .option("--allow <modes>", "besides reading: run, write, destructive, separated by commas", modes)
    .option("--require-human", "what destroys needs a person's yes; a token is not enough")
    .option("--hide-blocked", "do not list tools whose mode is not allowed")
    .option("--http", "serve over streamable HTTP at /mcp instead of stdin and stdout")
    .option(
      "--host <address>",
      "HTTP: address to listen on; outside this machine only with a token",
      "127.0.0.1",
    )
    .option("--port <number>", "HTTP: port, 0 for any free one", port, PORT)
    .option("--allowed-hosts <names>", "HTTP: further names clients may reach this server by", list)
    .allowExcessArguments(false);
}

function modes(text: string, earlier: readonly Mode[] = []): Mode[] {
  const named = list(text).map((name) => OPENABLE_MODES.find((mode) => mode === name));
  if (named.some((mode) => mode === undefined)) {
    throw new InvalidArgumentError(`Modes are ${OPENABLE_MODES.join(", ")}; reading is always allowed.`);
  }
  return [...earlier, ...(named as Mode[])];
}

function list(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.some((name) => name === "")) throw new InvalidArgumentError("Give names separated by commas.");
  return names;
}

function port(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 65_535) return value;
  throw new InvalidArgumentError("Give a number from 0 to 65535.");
}
