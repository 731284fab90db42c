/**
 * What becomes of a page that a resource has yielded: its steps, its cursor and its limits choose the rows; they
 * are written to their tables, and each feeds the resource's transformers. Bytes stay bytes where nothing has
 * to look at the rows.
 */

import { call } from "./call.ts";
import type { CursorRun } from "./cursor-run.ts";
import { countRows } from "./job-writer.ts";
import type { PackageWriter } from "./package-writer.ts";
import { ColumnsPage, isMany, JsonlPage, type Page, type Row, TextsPage } from "./page.ts";
import type { Resource } from "./resource.ts";
import { rowsOfLines } from "./row-lines.ts";
import type { Running } from "./running.ts";
import { sortedLines } from "./sorted-lines.ts";
import { type SourceTables, staticTable } from "./source-tables.ts";

export class RowPages {
  private readonly tables: SourceTables;
  private readonly writer: PackageWriter;
  private readonly rowsMax: number;
  private readonly signal: AbortSignal;

  /** `rowsMax`: at most so many rows of each resource. */
  constructor(tables: SourceTables, writer: PackageWriter, rowsMax: number | undefined, signal: AbortSignal) {
    this.tables = tables;
    this.writer = writer;
    this.rowsMax = rowsMax ?? Number.POSITIVE_INFINITY;
    this.signal = signal;
  }

  async page(running: Running, page: Page): Promise<void> {
    if (page instanceof ColumnsPage || page instanceof TextsPage) {
      if (this.needsObjects(running) || running.cursor) await this.page(running, page.lines());
      else await this.columnsPage(running, page);
      return;
    }
    if (page instanceof JsonlPage) {
      if (this.needsObjects(running)) await this.linePage(running, page);
      else if (running.cursor) {
        const sorted = page.sorted === true && running.cursor.sorted;
        const kept = sorted ? this.cursorLines(running, running.cursor, page) : undefined;
        if (kept === undefined) await this.linePage(running, page);
        else if (kept.bytes.length > 0) await this.bytesPage(running, kept);
      } else await this.bytesPage(running, page);
      return;
    }
    await this.objects(running, Array.isArray(page) ? page : [page as Row]);
  }

  private async bytesPage(running: Running, page: JsonlPage): Promise<void> {
    if (!running.loads) return;
    const table = this.tables.declareTable(running, staticTable(running.resource));
    if (this.tables.isRefused(table) && !this.tables.admits(running, table, countRows(page.bytes))) return;
    const rows = await this.writer.writePage(table, page);
    this.count(running, table, rows, page.bytes.length);
  }

  private async columnsPage(running: Running, page: ColumnsPage | TextsPage): Promise<void> {
    if (!running.loads || page.buffer.rows === 0) return;
    const table = this.tables.declareTable(running, staticTable(running.resource));
    if (this.tables.isRefused(table) && !this.tables.admits(running, table, page.buffer.rows)) return;
    const bytes = page.buffer.byteLength();
    const rows = await this.writer.writeColumns(table, page);
    this.count(running, table, rows, bytes);
  }

  /** The lines of a page in cursor order that are new; undefined: each line has to be looked at. */
  private cursorLines(running: Running, cursor: CursorRun, page: JsonlPage): JsonlPage | undefined {
    const bytes = call(running.resource, () => sortedLines(page.bytes, cursor));
    if (bytes === undefined) return undefined;
    cursor.pageDone(bytes.length > 0);
    return bytes === page.bytes ? page : new JsonlPage(bytes, { guesses: page.guesses });
  }

  private needsObjects(running: Running): boolean {
    const { resource } = running;
    return (
      resource.steps.length > 0 ||
      running.children.length > 0 ||
      typeof resource.hints.tableName === "function" ||
      resource.limit?.rows !== undefined ||
      this.rowsMax !== Number.POSITIVE_INFINITY
    );
  }

  private async linePage(running: Running, page: JsonlPage): Promise<void> {
    await this.objects(running, rowsOfLines(page, running.resource.name), page.guesses);
  }

  private async objects(
    running: Running,
    page: readonly Row[],
    guesses?: JsonlPage["guesses"],
  ): Promise<void> {
    const { resource, cursor } = running;
    let rows: readonly Row[] = page;
    for (const step of resource.steps) rows = call(resource, () => applyStep(step, rows));
    const rowsMax = Math.min(this.rowsMax, resource.limit?.rows ?? Number.POSITIVE_INFINITY);
    const admitted: Row[] = [];
    for (const row of rows) {
      if (running.rowsTotal + admitted.length >= rowsMax) {
        running.stopped = true;
        break;
      }
      const answer = cursor ? cursor.admit(row) : "yes";
      if (answer === "yes") admitted.push(row);
      else if (answer === "stop") running.stopped = true;
    }
    if (running.rowsTotal + admitted.length >= rowsMax) running.stopped = true;
    if (admitted.length > 0 && running.loads) await this.write(running, admitted, guesses);
    else running.rowsTotal += admitted.length;
    cursor?.pageDone(admitted.length > 0);
    for (const child of running.children) {
      for (const row of admitted) {
        this.signal.throwIfAborted();
        if (child.stopped) break;
        const made = await call(child.resource, () => child.resource.transform!(row, child.context));
        if (made === undefined || made === null) continue;
        if (!isMany(made)) {
          await this.objects(child, [made as Row]);
          continue;
        }
        for await (const item of made as AsyncIterable<Row | readonly Row[]>) {
          await this.page(child, item);
        }
      }
    }
  }

  private async write(running: Running, rows: readonly Row[], guesses: JsonlPage["guesses"]): Promise<void> {
    const { tableName } = running.resource.hints;
    if (typeof tableName !== "function") {
      await this.writeTo(
        running,
        this.tables.declareTable(running, staticTable(running.resource)),
        rows,
        guesses,
      );
      return;
    }
    const byTable = new Map<string, Row[]>();
    for (const row of rows) {
      const name = call(running.resource, () => tableName(row));
      const known = byTable.get(name);
      if (known) known.push(row);
      else byTable.set(name, [row]);
    }
    for (const [name, group] of byTable)
      await this.writeTo(running, this.tables.declareTable(running, name), group, guesses);
  }

  private async writeTo(
    running: Running,
    table: string,
    rows: readonly Row[],
    guesses: JsonlPage["guesses"],
  ): Promise<void> {
    if (!this.tables.admits(running, table, rows.length)) return;
    const onColumns = running.cursor?.columnsOf(rows);
    const bytes = await call(running.resource, () => this.writer.writeRows(table, rows, guesses, onColumns));
    this.count(running, table, rows.length, bytes);
  }

  private count(running: Running, table: string, rows: number, bytes: number): void {
    running.rows += rows;
    running.rowsTotal += rows;
    this.writer.count(table, rows, bytes);
  }
}

function applyStep(step: Resource["steps"][number], rows: readonly Row[]): readonly Row[] {
  switch (step.kind) {
    case "map":
      return rows.map(step.apply);
    case "filter":
      return rows.filter(step.apply);
    case "flat_map":
      return rows.flatMap((row) => [...step.apply(row)]);
  }
}
