/** The tools, resources and prompts that the protocol's conformance suite asks for by name. */

import { randomBytes } from "node:crypto";
import {
  CLIENT_CAPABILITIES_META_KEY,
  completable,
  createRequestStateCodec,
  type InputRequests,
  inputRequired,
  McpServer,
  ResourceTemplate,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { z } from "zod";

const IMAGE =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const AUDIO = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";
const image = { type: "image", data: IMAGE, mimeType: "image/png" } as const;
const text = (words: string) => ({ type: "text", text: words }) as const;
const CACHE = { ttlMs: 300_000, cacheScope: "public" } as const;

/** As our own requestState: signed by a key of the process. */
const codec = createRequestStateCodec<Record<string, unknown>>({ key: randomBytes(32), ttlSeconds: 600 });

type Given = Readonly<Record<string, Record<string, unknown>>>;

function form(message: string, properties: Record<string, unknown>, required: string[] = []) {
  return {
    method: "elicitation/create",
    params: { message, requestedSchema: { type: "object", properties, required } },
  };
}
const asks = (message: string, field: string, type = "string") =>
  form(message, { [field]: { type } }, [field]);
const sampling = (words: string) => ({
  method: "sampling/createMessage",
  params: { messages: [{ role: "user", content: text(words) }], maxTokens: 100 },
});
const ROOTS = { method: "roots/list", params: {} };

/** The content of an answer to a form. */
function field(given: Given, key: string, name: string): string {
  return String((given[key]?.content as Record<string, unknown> | undefined)?.[name] ?? "unknown");
}

function givenOf(context: ServerContext): Given {
  return (context.mcpReq.inputResponses ?? {}) as Given;
}

async function ask(requests: Record<string, unknown>, state?: Record<string, unknown>) {
  return inputRequired({
    inputRequests: requests as InputRequests,
    ...(state === undefined ? {} : { requestState: await codec.mint(state) }),
  });
}

const say = (words: string) => ({ content: [text(words)] });

export function fixtureServer(): McpServer {
  const server = new McpServer(
    { name: "fixtures", version: "1.0.0" },
    {
      capabilities: { tools: {}, completions: {} },
      cacheHints: {
        "tools/list": CACHE,
        "prompts/list": CACHE,
        "resources/list": CACHE,
        "resources/templates/list": CACHE,
        "resources/read": CACHE,
        "server/discover": CACHE,
      },
      requestState: { verify: codec.verify },
    },
  );
  registerContent(server);
  registerQuestions(server);
  registerResources(server);
  registerPrompts(server);
  return server;
}

function registerContent(server: McpServer): void {
  const answers = {
    test_simple_text: [text("This is a simple text response for testing.")],
    test_image_content: [image],
    test_audio_content: [{ type: "audio", data: AUDIO, mimeType: "audio/wav" }],
    test_embedded_resource: [
      {
        type: "resource",
        resource: {
          uri: "test://embedded-resource",
          mimeType: "text/plain",
          text: "This is an embedded resource content.",
        },
      },
    ],
    test_multiple_content_types: [
      text("Multiple content types test:"),
      image,
      {
        type: "resource",
        resource: {
          uri: "test://mixed-content-resource",
          mimeType: "application/json",
          text: '{"test":"data","value":123}',
        },
      },
    ],
  } as const;
  for (const [name, content] of Object.entries(answers)) {
    server.registerTool(name, { description: name }, () => ({ content: [...content] }));
  }
  server.registerTool("test_error_handling", { description: "Fails" }, () => {
    throw new Error("This tool intentionally returns an error for testing");
  });
  server.registerTool(
    "test_tool_with_progress",
    { description: "Tells its progress" },
    async (context: ServerContext) => {
      const progressToken = context.mcpReq._meta?.progressToken ?? 0;
      for (const progress of [0, 50, 100]) {
        await context.mcpReq.notify({
          method: "notifications/progress",
          params: { progressToken, progress, total: 100, message: `Completed step ${progress} of 100` },
        });
      }
      return say(String(progressToken));
    },
  );
  server.registerTool(
    "json_schema_2020_12_tool",
    { description: "JSON Schema 2020-12", inputSchema: schemaAsWritten(SCHEMA_2020_12) },
    (input) => say(`called with ${JSON.stringify(input)}`),
  );
  const region = { type: "string", "x-mcp-header": "Region" };
  server.registerTool(
    "test_custom_headers",
    {
      description: "An argument that is a header too",
      inputSchema: schemaAsWritten({ type: "object", properties: { region }, required: ["region"] }),
    },
    (input) => say(`Region ${JSON.stringify(input)}`),
  );
}

const SCHEMA_2020_12 = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  $defs: {
    address: {
      $anchor: "addressDef",
      type: "object",
      properties: { street: { type: "string" }, city: { type: "string" } },
    },
  },
  properties: {
    name: { type: "string" },
    address: { $ref: "#/$defs/address" },
    contactMethod: { type: "string", enum: ["phone", "email"] },
    phone: { type: "string" },
    email: { type: "string" },
  },
  allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
  if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: { required: ["phone"] },
  else: { required: ["email"] },
  additionalProperties: false,
};

function schemaAsWritten(schema: Record<string, unknown>) {
  const jsonSchema = { input: () => schema, output: () => schema };
  return {
    "~standard": {
      version: 1 as const,
      vendor: "test",
      validate: (value: unknown) => ({ value: value as Record<string, unknown> }),
      jsonSchema,
    },
  };
}

/** Questions to the client: of 2026 in the result, to those of 2025 by the SDK as requests of their own. */
function registerQuestions(server: McpServer): void {
  const tool = (
    name: string,
    run: (given: Given, context: ServerContext, input: Record<string, unknown>) => unknown,
  ): void => {
    server.registerTool(
      name,
      { description: name, inputSchema: z.looseObject({}) },
      (input, context) => run(givenOf(context), context, input) as never,
    );
  };
  const elicited = (given: Given) =>
    say(
      `Elicitation completed: action=${given.q?.action}, content=${JSON.stringify(given.q?.content ?? {})}`,
    );

  tool("test_sampling", (given, _context, input) =>
    given.q === undefined
      ? ask({ q: sampling(String(input.prompt)) })
      : say(`LLM response: ${(given.q.content as { text?: string } | undefined)?.text}`),
  );
  tool("test_elicitation", (given, _context, input) =>
    given.q === undefined ? ask({ q: asks(String(input.message), "response") }) : elicited(given),
  );
  tool("test_elicitation_sep1034_defaults", (given) =>
    given.q === undefined
      ? ask({
          q: form("Please review and update the form fields with defaults", {
            name: { type: "string", description: "User name", default: "John Doe" },
            age: { type: "integer", description: "User age", default: 30 },
            score: { type: "number", description: "User score", default: 95.5 },
            status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
            verified: { type: "boolean", default: true },
          }),
        })
      : elicited(given),
  );
  const options = ["option1", "option2", "option3"];
  const titled = ["First", "Second", "Third"].map((title, i) => ({ const: `value${i + 1}`, title }));
  tool("test_elicitation_sep1330_enums", (given) =>
    given.q === undefined
      ? ask({
          q: form("Please select options from the enum fields", {
            untitledSingle: { type: "string", enum: options },
            titledSingle: { type: "string", oneOf: titled },
            legacyEnum: {
              type: "string",
              enum: ["opt1", "opt2", "opt3"],
              enumNames: ["One", "Two", "Three"],
            },
            untitledMulti: {
              type: "array",
              minItems: 1,
              maxItems: 3,
              items: { type: "string", enum: options },
            },
            titledMulti: { type: "array", minItems: 1, maxItems: 3, items: { anyOf: titled } },
          }),
        })
      : elicited(given),
  );

  tool("test_input_required_result_elicitation", (given) =>
    given.user_name === undefined
      ? ask({ user_name: asks("What is your name?", "name") })
      : say(`Hello, ${field(given, "user_name", "name")}!`),
  );
  tool("test_input_required_result_sampling", (given) =>
    given.sample_request === undefined
      ? ask({ sample_request: sampling("What is the capital of France?") })
      : say(`Sampling result: ${(given.sample_request.content as { text?: string } | undefined)?.text}`),
  );
  tool("test_input_required_result_list_roots", (given) =>
    given.roots_request === undefined
      ? ask({ roots_request: ROOTS })
      : say(`Found ${(given.roots_request.roots as unknown[] | undefined)?.length ?? 0} root(s)`),
  );
  for (const [name, ok] of [
    ["test_input_required_result_request_state", "state-ok: requestState validated"],
    ["test_input_required_result_tampered_state", "integrity-ok: state verified"],
  ] as const) {
    tool(name, (given, context) =>
      given.confirm !== undefined && context.mcpReq.requestState() !== undefined
        ? say(ok)
        : ask({ confirm: asks("Please confirm", "ok", "boolean") }, { kind: name }),
    );
  }
  tool("test_input_required_result_multiple_inputs", (given) =>
    given.user_name === undefined || given.greeting === undefined || given.client_roots === undefined
      ? ask(
          {
            user_name: asks("What is your name?", "name"),
            greeting: sampling("Generate a greeting"),
            client_roots: ROOTS,
          },
          { kind: "multiple-inputs" },
        )
      : say(`Name: ${field(given, "user_name", "name")}`),
  );
  tool("test_input_required_result_multi_round", (given, context) => {
    const state = context.mcpReq.requestState<{ round: number; name?: string }>();
    if (state?.round === 1 && given.step1 !== undefined) {
      const name = field(given, "step1", "name");
      return ask({ step2: asks("Step 2: What is your favorite color?", "color") }, { round: 2, name });
    }
    if (state?.round === 2 && given.step2 !== undefined) {
      return say(`Multi-round complete for ${state.name} who likes ${field(given, "step2", "color")}`);
    }
    return ask({ step1: asks("Step 1: What is your name?", "name") }, { round: 1 });
  });
  tool("test_input_required_result_capabilities", (given, context) => {
    if (Object.keys(given).length > 0)
      return say(`capabilities-ok: received ${Object.keys(given).join(",")}`);
    const capabilities = capabilitiesOf(context);
    const requests = {
      ...(capabilities?.elicitation === undefined
        ? {}
        : { elicit_input: asks("Elicitation input", "value") }),
      ...(capabilities?.sampling === undefined ? {} : { sample_input: sampling("Sample request") }),
    };
    return Object.keys(requests).length === 0
      ? say("No supported capabilities declared")
      : ask(requests, { kind: "c" });
  });
  // The SDK refuses a question that the client did not say it can answer.
  tool("test_missing_capability", (given) =>
    given.q === undefined ? ask({ q: sampling("Anything?") }) : say("Success"),
  );
  // Logging goes to stderr here, so a request for it changes nothing.
  tool("test_logging_tool", () => say("Logging evaluated"));
  tool("test_streaming_elicitation", async (_given, context) => {
    const progressToken = context.mcpReq._meta?.progressToken ?? "token-abc";
    await context.mcpReq.notify({
      method: "notifications/progress",
      params: { progressToken, progress: 50, total: 100 },
    });
    return say("Streaming complete");
  });
}

function capabilitiesOf(context: ServerContext): Record<string, unknown> | undefined {
  const envelope = context.mcpReq.envelope as Record<string, Record<string, unknown> | undefined> | undefined;
  return envelope?.[CLIENT_CAPABILITIES_META_KEY];
}

function registerResources(server: McpServer): void {
  const plain = (uri: string, words: string) => ({
    contents: [{ uri, mimeType: "text/plain", text: words }],
  });
  server.registerResource("static-text", "test://static-text", { mimeType: "text/plain" }, (uri) =>
    plain(uri.href, "This is the content of the static text resource."),
  );
  server.registerResource("static-binary", "test://static-binary", { mimeType: "image/png" }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: "image/png", blob: IMAGE }],
  }));
  server.registerResource(
    "template",
    new ResourceTemplate("test://template/{id}/data", { list: undefined }),
    { mimeType: "application/json" },
    (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: "application/json",
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
        },
      ],
    }),
  );
}

function registerPrompts(server: McpServer): void {
  const messages = (...contents: object[]) => ({
    messages: contents.map((content) => ({ role: "user", content })),
  });
  server.registerPrompt(
    "test_simple_prompt",
    { description: "Simple" },
    () => messages(text("This is a simple prompt for testing.")) as never,
  );
  const argument = completable(z.string(), (typed) =>
    ["paris", "park", "party"].filter((each) => each.startsWith(typed)),
  );
  server.registerPrompt(
    "test_prompt_with_arguments",
    { description: "Arguments", argsSchema: z.object({ arg1: argument, arg2: z.string() }) },
    ({ arg1, arg2 }) => messages(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)) as never,
  );
  server.registerPrompt(
    "test_prompt_with_embedded_resource",
    { description: "Resource", argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri }) =>
      messages(
        {
          type: "resource",
          resource: {
            uri: resourceUri,
            mimeType: "text/plain",
            text: "Embedded resource content for testing.",
          },
        },
        text("Please process the embedded resource above."),
      ) as never,
  );
  server.registerPrompt(
    "test_prompt_with_image",
    { description: "Image" },
    () => messages(image, text("Please analyze the image above.")) as never,
  );
  server.registerPrompt(
    "test_input_required_result_prompt",
    { description: "Asks" },
    (context: ServerContext) => {
      const given = givenOf(context);
      return (
        given.user_context === undefined
          ? ask({ user_context: asks("What context should the prompt use?", "context") })
          : messages(text(`Prompt with context: ${field(given, "user_context", "context")}`))
      ) as never;
    },
  );
}
