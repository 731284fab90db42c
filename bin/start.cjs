"use strict";
// Apart from loadwright.cjs, because an old Node cannot even read `import()`.

// Node's note that it strips types is of no use to who runs a pipeline
const emitWarning = process.emitWarning;
process.emitWarning = (warning, ...more) => {
  const [type] = more;
  if ((type?.type ?? type) !== "ExperimentalWarning") emitWarning.call(process, warning, ...more);
};

// compiled code, and types that were stripped, are kept between starts
require("node:module").enableCompileCache?.();

module.exports = (entry) =>
  import(entry).catch((error) => {
    process.stderr.write(`${error?.stack ?? error}\n`);
    process.exit(1);
  });
