import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  addPending,
  ask,
  type Connected,
  connect,
  fail,
  makeShop,
  PENDING_FIRST,
  PENDING_SECOND,
  storeOf,
  TRANSPORTS,
} from "../support/mcp.ts";
import type { TestWorkspace } from "../support/workspace.ts";

describe.each(TRANSPORTS)("over %s", (_transport, open) => {
  let workspace: TestWorkspace;
  const servers: Connected[] = [];
  beforeEach(async () => {
    workspace = await makeShop();
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
    workspace.remove();
  });

  async function start(...args: Parameters<typeof open> extends [string, ...infer Rest] ? Rest : never) {
    const server = await open(workspace.dir, ...args);
    servers.push(server);
    return server.client;
  }

  const TOOL = "drop_pending_packages";
  const ALLOW = ["--allow", "destructive"];
  const pendingIds = async () => (await storeOf(workspace).pendingPackages()).map((each) => each.load_id);

  describe("drop_pending_packages with a token", () => {
    it("shows the plan first and drops nothing, then drops exactly that", async () => {
      const client = await start(ALLOW);
      const plan = await ask(client, TOOL, { pipeline: "shop", from_load_id: PENDING_SECOND });
      expect(plan.data).toMatchObject({
        status: "planned",
        packages: [
          {
            load_id: PENDING_SECOND,
            rows: 3,
            cursors: [{ resource: "orders", path: "updated_at", from: "2024-03-01", to: "2024-02-01" }],
          },
        ],
        reversible: true,
      });
      expect(await pendingIds()).toEqual([PENDING_FIRST, PENDING_SECOND]);
      const step = plan.next_steps[0];
      expect(step?.tool).toBe(TOOL);
      const dropped = await ask(client, TOOL, step?.arguments);
      expect(dropped.data.status).toBe("dropped");
      expect(await pendingIds()).toEqual([PENDING_FIRST]);
      expect((await storeOf(workspace).listDrops())[0]?.first).toBe(PENDING_SECOND);
      // The token is spent, and its package is no longer pending.
      expect((await fail(client, TOOL, step?.arguments)).code).toBe("PACKAGE_NOT_FOUND");
    });

    it("refuses when a package came since the plan", async () => {
      const client = await start(ALLOW);
      const plan = await ask(client, TOOL, { pipeline: "shop" });
      await addPending(storeOf(workspace), "1700000300.1", "2024-03-01", "2024-04-01", 4);
      const error = await fail(client, TOOL, plan.next_steps[0]?.arguments);
      expect(error).toMatchObject({ code: "CONFIRM_EXPIRED" });
      expect(error.message).toMatch(/moved/);
      expect((await pendingIds()).length).toBe(3);
    });

    it("refuses a token of another plan, of another server, or made up", async () => {
      const client = await start(ALLOW);
      const whole = await ask(client, TOOL, { pipeline: "shop" });
      const confirm_token = whole.data.confirm_token;
      const part = { pipeline: "shop", from_load_id: PENDING_SECOND, confirm_token };
      expect((await fail(client, TOOL, part)).code).toBe("CONFIRM_EXPIRED");
      const other = await start(ALLOW);
      expect((await fail(other, TOOL, { pipeline: "shop", confirm_token })).code).toBe("CONFIRM_EXPIRED");
      expect((await fail(client, TOOL, { pipeline: "shop", confirm_token: "yes" })).code).toBe(
        "CONFIRM_EXPIRED",
      );
      expect((await pendingIds()).length).toBe(2);
    });

    it("gives no token where a person must confirm, and has nothing to do without packages", async () => {
      const strict = await start([...ALLOW, "--require-human"]);
      expect((await fail(strict, TOOL, { pipeline: "shop" })).code).toBe("NOT_ALLOWED");
      expect((await fail(strict, TOOL, { pipeline: "slow" })).code).toBe("NOTHING_PENDING");
      expect((await pendingIds()).length).toBe(2);
    });
  });

  describe("drop_pending_packages at a client that can ask its person", () => {
    for (const era of ["legacy", "2026-07-28"] as const) {
      const versionNegotiation = { mode: era === "legacy" ? ("legacy" as const) : { pin: era } };

      for (const [answer, status, left] of [
        [{ action: "accept", content: { confirm: true } }, "dropped", 0],
        [{ action: "accept", content: { confirm: false } }, "declined", 2],
        [{ action: "decline" }, "declined", 2],
      ] as const) {
        it(`${status} on ${JSON.stringify(answer)} (${era})`, async () => {
          const questions: string[] = [];
          const client = await start(
            [...ALLOW, "--require-human"],
            { capabilities: { elicitation: { form: {} } }, versionNegotiation },
            (made) =>
              made.setRequestHandler("elicitation/create", (request) => {
                questions.push(request.params.message);
                return { ...answer };
              }),
          );
          const result = await ask(client, TOOL, { pipeline: "shop" });
          expect(result.data.status).toBe(status);
          expect(result.data.confirm_token).toBeUndefined();
          expect(questions).toHaveLength(1);
          expect(questions[0]).toContain(PENDING_FIRST);
          expect((await pendingIds()).length).toBe(left);
        });
      }

      it(`drops nothing when the state moves while the person thinks (${era})`, async () => {
        const client = await start(
          ALLOW,
          { capabilities: { elicitation: { form: {} } }, versionNegotiation },
          (made) =>
            made.setRequestHandler("elicitation/create", async () => {
              await addPending(storeOf(workspace), "1700000300.1", "2024-03-01", "2024-04-01", 4);
              return { action: "accept", content: { confirm: true } };
            }),
        );
        expect((await fail(client, TOOL, { pipeline: "shop" })).code).toBe("CONFIRM_EXPIRED");
        expect((await pendingIds()).length).toBe(3);
      });
    }
  });
});

describe("a server that is started wrongly", () => {
  for (const flags of [["--alow", "run"], ["--allow", "everything"], ["--read-only"]]) {
    it(`does not start with ${flags.join(" ")}`, async () => {
      const workspace = await makeShop();
      await expect(connect(workspace.dir, flags)).rejects.toThrow();
      workspace.remove();
    });
  }
});
