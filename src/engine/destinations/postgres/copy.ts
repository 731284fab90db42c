/** Job files into a Postgres table by COPY, inside the caller's transaction. */

import { type CopyStreamQuery, from as copyFrom } from "pg-copy-streams";
import { EngineError } from "../../errors.ts";
import { readBlocks } from "../../package/block-format.ts";
import type { SpareMemory } from "../../package/spare-memory.ts";
import { type Dialect, qualified, quoteAll, type TableName } from "../../sql/dialect.ts";
import type { LoadColumn } from "../../sql/statement.ts";
import type { Connection } from "./connection.ts";
import { BinaryEncoder, binaryCodec } from "./copy-binary.ts";
import { TextEncoderOfRows } from "./copy-text.ts";

export interface CopyOptions {
  readonly removesNuls: boolean;
  readonly signal: AbortSignal;
  readonly memories: SpareMemory;
  /** Called after each block with the rows sent so far. */
  readonly onProgress?: (rows: number) => void;
}

export interface Copied {
  readonly rows: number;
  /** Column -> cells of which a NUL was removed. */
  readonly nulsRemoved: ReadonlyMap<string, number>;
}

/** After an error the transaction has to be rolled back. */
export async function copyFiles(
  connection: Connection,
  dialect: Dialect,
  into: TableName,
  columns: readonly LoadColumn[],
  files: readonly string[],
  options: CopyOptions,
): Promise<Copied> {
  const binary = columns.every(({ kind, sqlType }) => binaryCodec(kind, sqlType) !== undefined);
  const encoder = binary ? new BinaryEncoder(columns, options) : new TextEncoderOfRows(columns, options);
  const names = quoteAll(
    dialect,
    columns.map(({ name }) => name),
  );
  const format = binary ? "binary" : "text, encoding 'UTF8'";
  const sql = `copy ${qualified(dialect, into)} (${names}) from stdin (format ${format})`;
  const sink = new Sink(connection.client.query(copyFrom(sql)));
  let sent = Promise.resolve();
  try {
    for (const file of files) {
      for await (const block of readBlocks(file, options.memories)) {
        for (const piece of encoder.encode(block)) {
          if (options.signal.aborted) throw new EngineError("CANCELLED", "The load was cancelled.");
          // the next piece is encoded while this one is sent
          await sent;
          sent = sink.write(piece);
          sent.catch(() => {});
        }
        options.onProgress?.(encoder.rows);
      }
    }
    await sent;
    await sink.write(encoder.finish());
    const rows = await sink.end();
    return { rows, nulsRemoved: encoder.nulsRemoved() };
  } catch (error) {
    // What the server said is why the writing failed; what it says to our giving up is not.
    const reason = sink.failure ?? error;
    await sink.abort();
    throw reason;
  }
}

/** A COPY stream as promises. Its error arrives as an event, also between two writes. */
class Sink {
  failure: Error | undefined;
  private readonly stream: CopyStreamQuery;
  private readonly failed: Promise<void>;

  constructor(stream: CopyStreamQuery) {
    this.stream = stream;
    this.failed = new Promise((resolve) => {
      stream.on("error", (error: Error) => {
        this.failure ??= error;
        resolve();
      });
    });
  }

  /** Returns when the piece is sent, unless it is a small one. */
  async write(piece: Buffer): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    if (this.stream.write(piece)) return;
    await this.until("drain");
  }

  /** Rows that the server took. */
  async end(): Promise<number> {
    this.stream.end();
    await this.until("finish");
    return this.stream.rowCount;
  }

  /** Tells the server to give the COPY up, and waits until it did. */
  async abort(): Promise<void> {
    if (this.failure !== undefined || this.stream.writableFinished) return;
    const closed = new Promise((resolve) => this.stream.once("close", resolve));
    this.stream.destroy();
    await Promise.race([closed, this.failed]);
  }

  private async until(event: "drain" | "finish"): Promise<void> {
    let listener = (): void => {};
    const happened = new Promise<void>((resolve) => {
      listener = resolve;
      this.stream.once(event, listener);
    });
    await Promise.race([happened, this.failed]);
    this.stream.off(event, listener);
    if (this.failure !== undefined) throw this.failure;
  }
}
