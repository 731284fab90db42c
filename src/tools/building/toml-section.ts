/**
 * The part of loadwright.toml that is one pipeline's, as text: taken out, put in and replaced without touching
 * a byte of the rest. A section is every table whose name begins with `pipelines.<name>`.
 */

interface Line {
  readonly text: string;
  /** Path of a table header on this line. */
  readonly header?: readonly string[];
}

/** The text of the pipeline's tables, or undefined when it has none of its own. */
export function sectionOf(text: string, pipeline: string): string | undefined {
  const lines = linesOf(text);
  const parts = rangesOf(lines, pipeline).map(([start, end]) => lines.slice(start, end));
  if (parts.length === 0) return undefined;
  return `${parts
    .map((part) =>
      part
        .map((line) => line.text)
        .join("\n")
        .trimEnd(),
    )
    .join("\n\n")}\n`;
}

/** The text with the pipeline's tables replaced, added at the end, or (undefined) removed. */
export function withSection(text: string, pipeline: string, section: string | undefined): string {
  const lines = linesOf(text);
  const ranges = rangesOf(lines, pipeline);
  const [first] = ranges;
  const body = section === undefined ? [] : section.trimEnd().split("\n");
  if (first === undefined) {
    if (section === undefined) return text;
    const before = text.trimEnd();
    return `${before}${before === "" ? "" : "\n\n"}${body.join("\n")}\n`;
  }
  const kept: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const range = ranges.find(([start]) => start === at);
    if (range === undefined) {
      kept.push(lines[at]!.text);
      continue;
    }
    if (range === first) kept.push(...body);
    at = range[1] - 1;
    // the blank line behind a part that goes away would stand beside the one before it
    if (
      (range !== first || section === undefined) &&
      lines[at + 1]?.text.trim() === "" &&
      (kept.at(-1) ?? "").trim() === ""
    )
      at += 1;
  }
  const result = kept.join("\n");
  return result.endsWith("\n") || result === "" ? result : `${result}\n`;
}

/** Half-open ranges of lines, each from a header of the pipeline to the last line that belongs to it. */
function rangesOf(lines: readonly Line[], pipeline: string): [number, number][] {
  const ranges: [number, number][] = [];
  let start: number | undefined;
  const close = (end: number): void => {
    if (start === undefined) return;
    // comments and blank lines above the next header are that table's
    let last = end;
    while (last > start + 1 && /^\s*(#.*)?$/.test(lines[last - 1]!.text)) last -= 1;
    ranges.push([start, last]);
    start = undefined;
  };
  for (const [at, { header }] of lines.entries()) {
    if (header === undefined) continue;
    const own = header[0] === "pipelines" && header[1] === pipeline;
    if (!own) close(at);
    else start ??= at;
  }
  close(lines.length);
  return ranges;
}

/** Lines, and which of them are headers: not those inside strings or lists of many lines. */
function linesOf(text: string): Line[] {
  let depth = 0;
  let string: '"""' | "'''" | undefined;
  return text.split("\n").map((line) => {
    const outside = depth === 0 && string === undefined;
    if (outside && /^\s*\[/.test(line)) {
      const inner = /^\s*\[{1,2}([^\]]*(?:"[^"]*"[^\]]*)*)\]{1,2}\s*(#.*)?$/.exec(line)?.[1];
      if (inner !== undefined) return { text: line, header: keyParts(inner) };
    }
    for (let at = 0; at < line.length; ) {
      if (string !== undefined) {
        const end = line.indexOf(string, at);
        if (end < 0) break;
        if (string === '"""' && line[end - 1] === "\\") {
          at = end + 1;
          continue;
        }
        at = end + 3;
        string = undefined;
        continue;
      }
      const rest = line.slice(at);
      if (rest.startsWith('"""') || rest.startsWith("'''")) {
        string = rest.slice(0, 3) as '"""';
        at += 3;
      } else if (rest[0] === '"' || rest[0] === "'") {
        const literal = rest[0] === '"' ? /^"(?:[^"\\]|\\.)*"?/ : /^'[^']*'?/;
        at += literal.exec(rest)?.[0].length ?? 1;
      } else if (rest[0] === "#") break;
      else {
        if (rest[0] === "[" || rest[0] === "{") depth += 1;
        else if (rest[0] === "]" || rest[0] === "}") depth = Math.max(0, depth - 1);
        at += 1;
      }
    }
    return { text: line };
  });
}

function keyParts(key: string): string[] {
  return [...key.matchAll(/[\w-]+|"([^"]*)"|'([^']*)'/g)].map((part) => part[1] ?? part[2] ?? part[0]);
}
