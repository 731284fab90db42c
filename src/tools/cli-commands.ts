/**
 * Every tool of the catalogue as a command: what its input requires are arguments, the rest are options, and
 * help, examples and checks come from its schema. `loadwright get_schema shop --table orders`.
 */

import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { textOf } from "./cli-words.ts";
import type { NextStep, Tool } from "./define-tool.ts";
import { exampleOf } from "./examples.ts";

interface Property {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly items?: Property;
}

interface Field {
  readonly key: string;
  readonly required: boolean;
  readonly property: Property;
}

export interface ToolCommandOptions {
  readonly json?: boolean;
  readonly workspace?: string;
  readonly yes?: boolean;
}

type Call = (tool: Tool, input: Record<string, unknown>, options: ToolCommandOptions) => Promise<void>;

export function addToolCommands(root: Command, tools: readonly Tool[], call: Call): void {
  for (const tool of tools) {
    const fields = fieldsOf(tool);
    const command = root
      .command(tool.name)
      .alias(dashed(tool.name))
      .summary(tool.title)
      .description(tool.description)
      .helpGroup("Tools, the same that an agent has:");
    const positional = fields.filter((field) => field.required);
    for (const field of positional) command.addArgument(argumentOf(field));
    for (const field of fields) if (!field.required) command.addOption(optionOf(field));
    if (tool.mode === "destructive") command.option("--yes", "confirm what the tool asks");
    command
      .option("--workspace <dir>", "the folder with loadwright.toml (default: the nearest one above)")
      .option("--json", "one JSON document on stdout");
    const example = exampleOf(tool);
    if (example !== undefined) {
      const line = commandLine(tool, example);
      command.addHelpText(
        "after",
        `\nExamples:\n  ${line}\n  ${line} --json\n\nA text that is - is read from standard input.`,
      );
    }
    command.action(async (...given: unknown[]) => {
      const options = given[positional.length] as Record<string, unknown>;
      const input: Record<string, unknown> = {};
      for (const [i, field] of positional.entries()) input[field.key] = given[i];
      for (const field of fields) {
        const value = options[camel(field.key)];
        if (!field.required && value !== undefined) input[field.key] = value;
      }
      await call(tool, input, options as ToolCommandOptions);
    });
  }
}

/** What a person types for a call: `loadwright get_schema shop --table orders`. */
export function commandLine(tool: Tool, input: Readonly<Record<string, unknown>>): string {
  const fields = fieldsOf(tool);
  const words = fields.filter((field) => field.required).map((field) => shellWord(input[field.key]));
  for (const { key, required, property } of fields) {
    if (required || input[key] === undefined) continue;
    if (property.type !== "boolean") words.push(`--${dashed(key)} ${shellWord(input[key])}`);
    else if (input[key] === true) words.push(`--${dashed(key)}`);
  }
  return ["loadwright", tool.name, ...words].join(" ");
}

export function stepsAsCommands(tools: readonly Tool[], steps: readonly NextStep[]): string[] {
  return steps.flatMap((step) => {
    const tool = tools.find((each) => each.name === step.tool);
    return tool === undefined ? [] : [`${commandLine(tool, step.arguments)}   # ${step.why}`];
  });
}

function fieldsOf(tool: Tool): Field[] {
  const schema = z.toJSONSchema(tool.input, { io: "input" });
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([key, property]) => ({
    key,
    required: required.has(key),
    property: property as Property,
  }));
}

function argumentOf({ key, property }: Field): Argument {
  const argument = new Argument(`<${dashed(key)}>`, property.description ?? "");
  return property.enum === undefined
    ? argument.argParser(parserOf(property))
    : argument.choices(property.enum);
}

function optionOf({ key, property }: Field): Option {
  const flag =
    property.type === "boolean" ? `--${dashed(key)}` : `--${dashed(key)} <${placeholder(property)}>`;
  const option = new Option(flag, helpOf(property));
  if (property.enum !== undefined) return option.choices(property.enum);
  return property.type === "boolean" ? option : option.argParser(parserOf(property));
}

/** The tool fills in its own defaults; here they are only told. */
function helpOf({ description = "", default: standard }: Property): string {
  return standard === undefined
    ? description
    : `${description} (default: ${JSON.stringify(standard)})`.trim();
}

function placeholder(property: Property): string {
  if (property.type === "integer" || property.type === "number") return "number";
  if (property.type === "array") return property.items?.type === "string" ? "names" : "json";
  return property.type === "string" ? "text" : "json";
}

function parserOf(property: Property): (text: string) => unknown {
  switch (placeholder(property)) {
    case "number":
      return (text) => {
        const value = Number(text);
        if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Give a number.");
        return value;
      };
    case "names":
      return (text) => text.split(",").map((name) => name.trim());
    case "json":
      return (text) => {
        try {
          return JSON.parse(text) as unknown;
        } catch {
          throw new InvalidArgumentError("Give JSON.");
        }
      };
    default:
      return textOf;
  }
}

function dashed(key: string): string {
  return key.replaceAll("_", "-");
}

function camel(key: string): string {
  return key.replace(/_(.)/g, (_all, letter: string) => letter.toUpperCase());
}

function shellWord(value: unknown): string {
  const isList = Array.isArray(value) && value.every((each) => typeof each === "string");
  const text = isList ? value.join(",") : typeof value === "string" ? value : JSON.stringify(value);
  return /^[\w.,:/@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
