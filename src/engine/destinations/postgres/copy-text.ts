/**
 * Column blocks as the lines of `copy … from stdin`: for tables that have a column of another type than the
 * schema's, because somebody changed it. The server parses each value as the type that the column has.
 */

import type { Kind } from "../../normalize/column-buffer.ts";
import { type Block, cellReader, isValidAt } from "../../package/block-format.ts";
import type { LoadColumn } from "../../sql/statement.ts";
import { PIECE_BYTES } from "./copy-binary.ts";
import { removeEscapedNuls, removeNuls } from "./nul.ts";

export class TextEncoderOfRows {
  rows = 0;
  private readonly columns: readonly LoadColumn[];
  private readonly removesNuls: boolean;
  private readonly removed = new Map<string, number>();
  private lines: string[] = [];
  private characters = 0;

  constructor(columns: readonly LoadColumn[], options: { readonly removesNuls: boolean }) {
    this.columns = columns;
    this.removesNuls = options.removesNuls;
  }

  *encode(block: Block): Generator<Buffer, void, undefined> {
    const cells = this.columns.map(({ name }) => {
      const column = block.columns.find((candidate) => candidate.name === name);
      return column === undefined ? undefined : { column, read: cellReader(block, column) };
    });
    for (let row = 0; row < block.rows; row++) {
      const line = cells
        .map((cell, i) => {
          if (cell === undefined || !isValidAt(cell.column.valid, row)) return "\\N";
          return this.cell(this.columns[i]!, cell.column.kind, cell.read(row));
        })
        .join("\t");
      this.lines.push(line, "\n");
      this.characters += line.length + 1;
      this.rows++;
      if (this.characters >= PIECE_BYTES) yield this.take();
    }
  }

  finish(): Buffer {
    return this.take();
  }

  nulsRemoved(): Map<string, number> {
    return this.removed;
  }

  private take(): Buffer {
    const piece = Buffer.from(this.lines.join(""));
    this.lines = [];
    this.characters = 0;
    return piece;
  }

  private cell({ name, sqlType }: LoadColumn, kind: Kind, value: unknown): string {
    if (kind === "bool") return value === true ? "t" : "f";
    if (kind === "bytes") return `\\\\x${Buffer.from(value as Uint8Array).toString("hex")}`;
    let text = String(value);
    if (kind !== "text") return text;
    if (this.removesNuls) {
      const bytes = Buffer.from(text);
      const remove = sqlType.startsWith("json") ? removeEscapedNuls : removeNuls;
      const end = remove(bytes, 0, bytes.length);
      if (end < bytes.length) {
        text = bytes.toString("utf8", 0, end);
        this.removed.set(name, (this.removed.get(name) ?? 0) + 1);
      }
    }
    return text.replace(/[\\\t\n\r]/g, (character) => ESCAPES[character] ?? character);
  }
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };
