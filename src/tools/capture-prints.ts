/**
 * Takes what a process prints through `process.stdout`, `process.stderr` and console, line by line. What is
 * written past Node (native code, a fatal error) goes to the file descriptors as before.
 */

export function capturePrints(take: (stream: "stdout" | "stderr", line: string) => void): void {
  for (const name of ["stdout", "stderr"] as const) {
    const stream = process[name];
    let rest = "";
    stream.write = (chunk: string | Uint8Array, ...more: unknown[]): boolean => {
      const lines = (rest + (typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8"))).split(
        "\n",
      );
      rest = lines.pop() ?? "";
      // a line without an end must not grow without bound
      if (rest.length > LINE_CHARACTERS_MAX) lines.push(rest);
      if (rest.length > LINE_CHARACTERS_MAX) rest = "";
      for (const line of lines) take(name, line.slice(0, LINE_CHARACTERS_MAX));
      const done = more.findLast((argument) => typeof argument === "function") as (() => void) | undefined;
      if (done !== undefined) queueMicrotask(done);
      return true;
    };
    process.on("exit", () => {
      if (rest !== "") take(name, rest);
    });
  }
}

const LINE_CHARACTERS_MAX = 10_000;
