import type { MessagePort } from "node:worker_threads";
import type { CarriedError } from "./carried_error.js";

/** A resource that a thread makes: the module's address, and what its function gets. */
export interface ThreadResourceData {
  readonly module: string;
  readonly args: readonly unknown[];
}

/** What a thread is started with. */
export interface ThreadData {
  /** Its line to the package; the program's code in the thread does not see it. */
  readonly port: MessagePort;
  readonly resource: ThreadResourceData | undefined;
}

/** A call of one of the resource's methods. */
export interface ThreadCall {
  readonly method: string;
  readonly args: readonly unknown[];
}

/** A job of a pool: a function by its text, or one that a module exports. */
export interface ThreadRun {
  /** An expression that is the function; undefined for a module's. */
  readonly source: string | undefined;
  readonly module: string | undefined;
  /** The name of the export, or what the function is called in errors. */
  readonly method: string;
  readonly args: readonly unknown[];
  /** Whether the buffers of the result are handed over, not copied. */
  readonly transferResult: boolean;
}

/** To the thread: calls, served one at a time, in order; `undefined` when there are no more. */
export type ThreadRequest = ThreadCall | ThreadRun | undefined;

/**
 * From the thread. `made` comes first, `disposed` last, with the error of either; between them one answer for each call, in
 * the order of the calls.
 */
export type ThreadReply =
  | { readonly kind: "made" | "disposed"; readonly error?: CarriedError }
  | { readonly kind: "returned"; readonly value: unknown }
  | { readonly kind: "threw"; readonly error: CarriedError };
