/**
 * Supabase is Postgres behind four kinds of addresses. What goes wrong there is mostly the address, so it is
 * looked at before connecting:
 *
 *     db.REF.supabase.co:5432                 direct; IPv6 only, unless the project bought an IPv4 address
 *     aws-N-REGION.pooler.supabase.com:5432   session pooler; IPv4; user is postgres.REF
 *     aws-N-REGION.pooler.supabase.com:6543   transaction pooler; same user; a backend for each transaction
 *     db.REF.supabase.co:6543                 the project's own PgBouncer, in transaction mode
 *
 * Loads work through all of them: they keep nothing in the session.
 */

export type SupabaseRoute = "direct" | "session_pooler" | "transaction_pooler" | "dedicated_pooler";

export interface SupabaseAddress {
  readonly route: SupabaseRoute;
  /** The project; undefined where the address does not tell. */
  readonly ref: string | undefined;
}

/** Something about an address that will not work (`mistake`), or works with a reservation (`advice`). */
export interface SupabaseFinding {
  readonly kind: "mistake" | "advice";
  readonly code: string;
  readonly text: string;
  readonly hint: string;
}

export interface Login {
  readonly host: string;
  readonly port: number;
  readonly username: string;
}

const DIRECT_HOST = /^db\.([a-z0-9]+)\.supabase\.(?:co|red|in)$/;
const POOLER_HOST = /^[a-z0-9-]+\.pooler\.supabase\.com$/;
const POOLER_HOST_NUMBERED = /^aws-\d+-[a-z]+(?:-[a-z]+)+-\d+\.pooler\.supabase\.com$/;
const PROJECT_HOST = /^([a-z0-9]+)\.supabase\.(?:co|red|in)$/;
const TRANSACTION_PORT = 6543;
const SESSION_PORT = 5432;

const FROM_DASHBOARD = "Copy the connection string from the project's Connect dialog.";

/** Undefined: not Supabase. */
export function supabaseAddress({ host, port, username }: Login): SupabaseAddress | undefined {
  const name = host.toLowerCase();
  const direct = DIRECT_HOST.exec(name);
  if (direct !== null) {
    return { route: port === TRANSACTION_PORT ? "dedicated_pooler" : "direct", ref: direct[1] };
  }
  if (POOLER_HOST.test(name)) {
    const route = port === TRANSACTION_PORT ? "transaction_pooler" : "session_pooler";
    return { route, ref: /^[^.]+\.(.+)$/.exec(username)?.[1] };
  }
  return undefined;
}

/** What can be said about the address without asking it. */
export function supabaseFindings(login: Login): SupabaseFinding[] {
  const findings: SupabaseFinding[] = [];
  const mistake = (code: string, text: string, hint: string) =>
    findings.push({ kind: "mistake", code, text, hint });
  const advice = (code: string, text: string, hint: string) =>
    findings.push({ kind: "advice", code, text, hint });
  const host = login.host.toLowerCase();
  const project = PROJECT_HOST.exec(host);
  if (project !== null) {
    mistake(
      "project_host",
      `${host} is the address of the project's API, not of its database.`,
      `Use db.${project[1]}.supabase.co, or the pooler's address. ${FROM_DASHBOARD}`,
    );
    return findings;
  }
  const address = supabaseAddress(login);
  if (address === undefined) return findings;
  const pooled = address.route === "session_pooler" || address.route === "transaction_pooler";
  if (pooled && address.ref === undefined) {
    mistake(
      "user_without_project",
      `Supabase's shared pooler needs the project in the user name; ${login.username} has none.`,
      `Use ${login.username}.PROJECT_REF as the user, e.g. postgres.abcdefghijklmnopqrst. ${FROM_DASHBOARD}`,
    );
  }
  if (!pooled && login.username.endsWith(`.${address.ref}`)) {
    const user = login.username.slice(0, -`.${address.ref}`.length);
    mistake(
      "user_with_project",
      `The database's own address takes the user name without the project, not ${login.username}.`,
      `Use ${user} as the user, or the pooler's address with ${login.username}.`,
    );
  }
  if (pooled && !POOLER_HOST_NUMBERED.test(host)) {
    advice(
      "pooler_host_form",
      `${host} does not look like a pooler's address (aws-N-REGION.pooler.supabase.com).`,
      `The number and the region cannot be derived from each other. ${FROM_DASHBOARD}`,
    );
  }
  if (login.port !== SESSION_PORT && login.port !== TRANSACTION_PORT) {
    advice(
      "port",
      `Supabase listens on ${SESSION_PORT} and ${TRANSACTION_PORT}, not on ${login.port}.`,
      FROM_DASHBOARD,
    );
  }
  if (address.route === "transaction_pooler") {
    advice(
      "transaction_pooler",
      "This is the transaction pooler. Loads work through it, but one long load holds a shared connection.",
      `For loading, use the session pooler: the same host with port ${SESSION_PORT}.`,
    );
  }
  if (address.route === "dedicated_pooler") {
    advice(
      "transaction_pooler",
      "This is the project's own pooler in transaction mode. Loads work through it.",
      `For loading, use the direct address: the same host with port ${SESSION_PORT}.`,
    );
  }
  return findings;
}

/** The next step when an address of Supabase could not be reached or did not let us in; undefined: not known. */
export function supabaseHint(
  login: Login,
  failure: "no_route" | "no_name" | "refused" | "no_tenant" | "tls",
) {
  const address = supabaseAddress(login);
  if (address === undefined) return undefined;
  const ownAddress = address.route === "direct" || address.route === "dedicated_pooler";
  switch (failure) {
    case "no_route":
      return ownAddress
        ? `${login.host} has an IPv6 address only, and this machine has no IPv6. Use the session pooler (aws-N-REGION.pooler.supabase.com:${SESSION_PORT}, user postgres.${address.ref}). ${FROM_DASHBOARD}`
        : undefined;
    case "no_name":
      return ownAddress
        ? `Either this machine has no IPv6, then use the session pooler; or the project is paused or deleted, then restore it. ${FROM_DASHBOARD}`
        : `The pooler's host is misspelt: its number and region cannot be guessed. ${FROM_DASHBOARD}`;
    case "refused":
      return "Repeated wrong passwords ban an address for 30 minutes: unban it in Database Settings, and check the password before the next attempt.";
    case "no_tenant":
      return `The pooler does not know this user: the host is one of another region or cluster, the project in the user name is wrong, or the project is paused. ${FROM_DASHBOARD}`;
    case "tls":
      return "Supabase's certificates have their own authority: download it from Database Settings and set ssl_root_cert to the file.";
  }
}
