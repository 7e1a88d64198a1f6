import { FetchRequest } from "./fetch_request.js";
import { FetchResponse } from "./fetch_response.js";

const NodeRequest = globalThis.Request;
const NodeResponse = globalThis.Response;

/** Node's own Request, which takes one of ours for another too. */
class GlobalRequest extends NodeRequest {
  constructor(input: ConstructorParameters<typeof NodeRequest>[0], init?: RequestInit) {
    super(FetchRequest.isOne(input) ? (input as unknown as FetchRequest).full() : input, init);
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof NodeRequest;
  }
}

/**
 * Puts this package's Response in the place of Node's own, and a Request that takes requests of `serveHttp` for others: for programs, and
 * libraries, that make their responses with the global class. Returns what puts the old ones back. Both kinds are instances of either.
 */
export function installGlobals(): () => void {
  globalThis.Response = FetchResponse as unknown as typeof globalThis.Response;
  globalThis.Request = GlobalRequest as unknown as typeof globalThis.Request;
  return () => {
    globalThis.Response = NodeResponse;
    globalThis.Request = NodeRequest;
  };
}
