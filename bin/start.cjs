"use strict";
// Apart from loadwright.cjs, because an old Node cannot even read `import()`.
module.exports = (entry) =>
  import(entry).catch((error) => {
    process.stderr.write(`${(error && error.stack) || error}\n`);
    process.exit(1);
  });
