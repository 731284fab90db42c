/** The HTTP client, for the built-in sources and for a source of one's own. */

export type { HttpAuth, OAuth2ClientCredentials } from "./auth.ts";
export {
  HttpClient,
  type HttpClientOptions,
  type HttpResponse,
  type JsonResponse,
  type RequestOptions,
  type RequestTrace,
} from "./client.ts";
export { Pace, type PaceOptions } from "./pace.ts";
export type { Query, QueryValue } from "./url.ts";
