import { FetchResponse } from "./fetch_response.js";

/**
 * The platform's Response, at less cost: of text, bytes and a status nothing is made before something is asked of it. An instance of the global
 * Response, and those of that one are instances of it.
 */
export const Response = FetchResponse as unknown as typeof globalThis.Response;
export type Response = globalThis.Response;
