/**
 * Pasted error text, made ready for matching: secrets taken out, terminal colours and stack frames too, quotes made
 * alike, and cut into the links of its chain of causes, each with how deep it lies.
 */

/** Longest text that is looked at, in characters: the head has the outer error, the tail the rest of the log. */
const CHARS_MAX = 200_000;
export const SECRET = "[secret]";

export interface Link {
  readonly text: string;
  /** The innermost cause is the deepest. */
  readonly depth: number;
}

export interface ErrorText {
  readonly links: readonly Link[];
  /** Classes of the exceptions that the text names, outermost first as far as the text tells. */
  readonly exceptions: readonly string[];
}

export function readErrorText(raw: string): ErrorText {
  const text = withoutFrames(withoutSecrets(withoutColours(bounded(raw))));
  const blocks = text.split(
    /\n\s*(?:The above exception was the direct cause of the following exception:|During handling of the above exception, another exception occurred:)\s*\n/,
  );
  // Python prints the first exception first; within an exception its cause comes last
  const links = blocks.flatMap((block, i) =>
    block
      .split(/with exception:|\[cause\]:|\[errors\]:|caused by:|"cause"\s*:|Caused by /i)
      .map((part, at) => ({ text: alike(part), depth: (blocks.length - 1 - i) * 100 + at })),
  );
  return { links, exceptions: exceptionsOf(blocks.reverse().join("\n")) };
}

function bounded(text: string): string {
  if (text.length <= CHARS_MAX) return text;
  return `${text.slice(0, CHARS_MAX / 2)}\n…\n${text.slice(-CHARS_MAX / 2)}`;
}

function withoutColours(text: string): string {
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replaceAll("\r\n", "\n");
}

/** Passwords in URLs, named secrets, bearer tokens, keys that are known by their form. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:)[^\s]*@/gi, `$1${SECRET}@`)
    .replace(/\b(bearer|basic|token)\s+[\w.~+/=-]{8,}/gi, `$1 ${SECRET}`)
    .replace(
      /(["']?[\w-]*(?:password|passwd|pwd|secret|api[_-]?key|apikey|access[_-]?key(?:[_-]?id)?|private[_-]?key|(?<![a-z])auth(?:orization)?|token|credential|session[_-]?id|signature)[\w-]*["']?\s*[:=]\s*)(["']?)[^\s"',;&)}]+\2/gi,
      `$1${SECRET}`,
    )
    .replace(/\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b/g, SECRET)
    .replace(/\b(?:sk|pk|rk|ghp|gho|xox[abp]|sbp|eyJ)[-_A-Za-z0-9]{16,}(?:\.[\w-]+){0,2}/g, SECRET);
}

/** `at f (file.js:1:2)`, and `File "x.py", line 3, in f` with the line of code that follows it. */
function withoutFrames(text: string): string {
  const kept: string[] = [];
  let skip = false;
  for (const line of text.split("\n")) {
    const frame = /^\s*File ".*", line \d+/.test(line);
    if (frame || /^\s+at .+(:\d+\)?|<anonymous>\)?|\))\s*\{?$/.test(line)) {
      skip = frame;
      continue;
    }
    // source code below a frame is indented deeper, as are the marks below it
    if (skip && /^\s{4,}\S/.test(line)) continue;
    skip = false;
    kept.push(line);
  }
  return kept.join("\n");
}

/** Quotes of every kind become one, and runs of blanks one blank. */
export function alike(text: string): string {
  return text.replace(/[`'“”‘’«»]|\\"/g, '"').replace(/[ \t]+/g, " ");
}

function exceptionsOf(text: string): string[] {
  const names = text.matchAll(
    /\b([A-Z][A-Za-z0-9]{2,60}(?:Error|Exception|Failed|Violation|Retry|Tampered|NotFound|Refused|Coercion))\b/g,
  );
  return [...new Set([...names].map((each) => each[1]!))].slice(0, 10);
}
