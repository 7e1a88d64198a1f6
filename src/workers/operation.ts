import { Script } from "node:vm";
import type { Transferable } from "node:worker_threads";
import { checkBoolean, checkDuration, checkSignal } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkNames, checkOptions, type Names } from "../base/known_names.js";
import type { ThreadRun } from "../toolbox/thread_messages.js";

/** A function of a module, for a thread of the pool. */
export interface WorkerModule<T = unknown> {
  /** Where the module is: ES module or CommonJS. */
  readonly module: URL;
  /** The export that is called. Default "default". */
  readonly method?: string;
  /** What it is called with; copied. Default: nothing. */
  readonly args?: readonly unknown[];
  /** Carries the type of the result; never there. */
  readonly result?: T;
}

/** A self-contained function and what it is called with, for a thread of the pool; made by `worker`. */
export class WorkerFunction<T = unknown> {
  /** @internal */
  readonly source: string;
  /** What it is called in errors. */
  readonly name: string;
  /** What it is called with. */
  readonly args: readonly unknown[];
  /** Carries the type of the result; never there. */
  declare readonly result?: T;

  /** @internal */
  constructor(source: string, name: string, args: readonly unknown[]) {
    this.source = source;
    this.name = name;
    this.args = args;
  }
}

/** What `defer` does: a function here, or something for a thread. */
export type DeferOperation<T> = ((signal: AbortSignal) => T | PromiseLike<T>) | WorkerFunction<T> | WorkerModule<T>;

/** How `defer` goes about an operation. Times in milliseconds. */
export interface DeferOptions {
  /** How long it may take, the wait for a thread included; a thread that is at it is ended. Default 0: no limit. */
  timeout?: number;
  /** Calls it off; a thread that is at it is ended. */
  signal?: AbortSignal;
  /** What of the arguments is handed over to the thread instead of copied. Default: nothing. */
  transfer?: readonly Transferable[];
  /** Whether the buffers that a result is, or has as its values, are handed over instead of copied. Default false. */
  transferResult?: boolean;
}

/** Checked; with what a thread is sent, or the function that runs here. */
export interface Deferral {
  readonly run: ThreadRun | undefined;
  readonly local: ((signal: AbortSignal) => unknown) | undefined;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  readonly transfer: readonly Transferable[];
}

const MODULE: Names<WorkerModule> = { module: true, method: true, args: true, result: true };
const OPTIONS: Names<DeferOptions> = { timeout: true, signal: true, transfer: true, transferResult: true };
const sources = new WeakMap<object, string>();

/**
 * A function to run in a thread of the pool: `defer(worker(hash, password))`. It is sent as text, and must be self-contained: what it uses stands in
 * it, is an argument, or is loaded by `await import(…)` there. Arguments and result are copied (the structured clone algorithm). Throws ArgumentError
 * for what is no function written in JavaScript.
 */
export function worker<A extends unknown[], T>(fn: (...args: A) => T, ...args: A): WorkerFunction<Awaited<T>> {
  if (typeof fn !== "function") throw new ArgumentError(`fn must be a function, not ${describe(fn)}`);
  return new WorkerFunction(sourceOf(fn), fn.name === "" ? "the function" : fn.name, args);
}

export function checkDeferral(operation: unknown, options: DeferOptions): Deferral {
  checkOptions(options, OPTIONS);
  const { transfer = [], transferResult = false } = options;
  if (!Array.isArray(transfer)) throw new ArgumentError(`transfer must be an array, not ${describe(transfer)}`);
  const common = {
    timeout: checkDuration(options.timeout ?? 0, "timeout"),
    signal: checkSignal(options.signal),
    transfer: transfer as readonly Transferable[],
  };
  const handsOver = checkBoolean(transferResult, "transferResult");
  if (typeof operation === "function") {
    if (transfer.length > 0 || handsOver) throw new ArgumentError("transfer is for an operation in a thread");
    return { ...common, run: undefined, local: operation as (signal: AbortSignal) => unknown };
  }
  return { ...common, run: { ...checkRun(operation), transferResult: handsOver }, local: undefined };
}

function checkRun(operation: unknown): Omit<ThreadRun, "transferResult"> {
  if (operation instanceof WorkerFunction) {
    const { source, name, args } = operation;
    return { source, module: undefined, method: name, args };
  }
  if (typeof operation !== "object" || operation === null || !("module" in operation)) {
    const allowed = "a function, worker(fn, ...args) or { module, method, args }";
    throw new ArgumentError(`operation must be ${allowed}, not ${describe(operation)}`);
  }
  checkNames(operation, MODULE, "operation");
  const { module, method = "default", args = [] } = operation as WorkerModule;
  if (!(module instanceof URL)) throw new ArgumentError(`module must be a URL, not ${describe(module)}`);
  if (typeof method !== "string") throw new ArgumentError(`method must be a name, not ${describe(method)}`);
  if (!Array.isArray(args)) throw new ArgumentError(`args must be an array, not ${describe(args)}`);
  return { source: undefined, module: module.href, method, args };
}

/** An expression that is the function: a method's text is none by itself. */
function sourceOf(fn: object): string {
  const known = sources.get(fn);
  if (known !== undefined) return known;
  const text = Function.prototype.toString.call(fn);
  const found = [`(${text}\n)`, `(Object.values({${text}\n})[0])`].find(isScript);
  if (found === undefined || /^class\b/.test(text)) {
    throw new ArgumentError(
      `fn must be a function whose text can be sent to a thread, not ${describe(fn)}: ${text.slice(0, 80)}`,
    );
  }
  sources.set(fn, found);
  return found;
}

function isScript(source: string): boolean {
  try {
    return new Script(`"use strict";${source}`) instanceof Script;
  } catch {
    return false;
  }
}
