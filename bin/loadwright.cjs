#!/usr/bin/env node
"use strict";
// Written for any Node, however old, so that an old one says what is wrong instead of a syntax error.
var needed = [22, 18];
var found = process.versions.node.split(".").map(Number);
if (found[0] < needed[0] || (found[0] === needed[0] && found[1] < needed[1])) {
  process.stderr.write(
    "loadwright needs Node.js " +
      needed.join(".") +
      " or newer; this is " +
      process.versions.node +
      " (" +
      process.execPath +
      ").\n" +
      "Get it from https://nodejs.org/en/download, or with a version manager: nvm install 24, fnm install 24,\n" +
      "volta install node@24. In a checkout `npm ci` brings its own: npx loadwright, npm run demo.\n",
  );
  process.exit(1);
}

var fs = require("node:fs");
var path = require("node:path");
var url = require("node:url");
var root = path.join(__dirname, "..");
// In a checkout the sources run as they are, even beside an old build; the published package has only dist.
var source = path.join(root, "src", "tools", "cli.ts");
var entry = fs.existsSync(source) ? source : path.join(root, "dist", "tools", "cli.js");

require("./start.cjs")(url.pathToFileURL(entry).href);
