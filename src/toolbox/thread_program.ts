import type { Transferable } from "node:worker_threads";
import type { CarriedError } from "./carried_error.js";
import type {
  ThreadCall,
  ThreadData,
  ThreadReply,
  ThreadRequest,
  ThreadResourceData,
  ThreadRun,
} from "./thread_messages.js";

/**
 * What runs in a thread of the package's: it makes a resource where it was started for one, and then does what it is told, one thing at a
 * time, in order. It is sent to the thread as text, so that a bundle of the package needs no file beside it: it refers to nothing outside
 * of itself, and what an engine of bundles calls `import` and `require` is handed in.
 */
function threadMain(require: NodeJS.Require, load: (module: string) => Promise<unknown>): void {
  type Methods = Record<PropertyKey, unknown>;
  type Callable = (...args: readonly unknown[]) => unknown;

  const { workerData } = require("node:worker_threads") as typeof import("node:worker_threads");
  const { port, resource: made } = workerData as ThreadData;
  // The program's code finds none of it.
  for (const key of Object.keys(workerData)) delete workerData[key];
  /** How many functions are kept compiled. */
  const KEPT = 64;
  /** How many causes of causes are carried: a chain may be a circle. */
  const DEPTH = 8;
  /** How many of an AggregateError's errors are carried. */
  const BREADTH = 32;
  const compiled = new Map<string, Callable>();

  // Methods, for a bundler that keeps names would wrap functions in a helper, which is not there in the thread.
  const own = {
    reply(message: ThreadReply, transfer: readonly Transferable[] = []): void {
      port.postMessage(message, transfer);
    },

    /** A view is sent with all the memory it looks into, which for a small Buffer is Node's pool. */
    unpooled(value: unknown): { value: unknown; transfer: ArrayBuffer[] } {
      const isPart =
        value instanceof Uint8Array &&
        value.buffer instanceof ArrayBuffer &&
        value.byteLength < value.buffer.byteLength;
      if (!isPart) return { value, transfer: [] };
      const copy = new Uint8Array(value);
      return { value: copy, transfer: [copy.buffer] };
    },

    /** What of a result is handed over instead of copied: its buffers, as far as they stand in it openly. */
    buffersOf(value: unknown): ArrayBuffer[] {
      const parts =
        typeof value === "object" && value !== null && !ArrayBuffer.isView(value) ? Object.values(value) : [];
      const buffers = [value, ...parts].map((each) => (ArrayBuffer.isView(each) ? each.buffer : each));
      return [...new Set(buffers.filter((each): each is ArrayBuffer => each instanceof ArrayBuffer))];
    },

    // Errors: the structured clone would lose a name, a code and whatever else their makers hung on them.

    packError(error: unknown, depth = 0): CarriedError {
      if (!(error instanceof Error)) return own.packValue(error);
      const facts: Record<string, unknown> = {};
      for (const key of Object.keys(error)) {
        try {
          const value = (error as unknown as Record<string, unknown>)[key];
          const isFact = value === null || !["object", "function", "symbol"].includes(typeof value);
          if (isFact) facts[key] = value;
        } catch {
          // A getter that throws says nothing that could be carried.
        }
      }
      const isDeep = depth >= DEPTH;
      const errors = error instanceof AggregateError && !isDeep ? error.errors.slice(0, BREADTH) : undefined;
      return {
        name: String(error.name),
        message: String(error.message),
        stack: error.stack,
        facts,
        brands: Object.getOwnPropertySymbols(error).flatMap((symbol) => Symbol.keyFor(symbol) ?? []),
        cause: error.cause === undefined || isDeep ? undefined : own.packError(error.cause, depth + 1),
        errors: errors?.map((one: unknown) => own.packError(one, depth + 1)),
      };
    },

    packValue(value: unknown): CarriedError {
      const none = {
        name: "",
        message: "",
        stack: undefined,
        facts: {},
        brands: [],
        cause: undefined,
        errors: undefined,
      };
      try {
        return { ...none, thrown: structuredClone(value) };
      } catch {
        return { ...none, thrown: own.inWords(value) };
      }
    },

    inWords(value: unknown): string {
      try {
        return String(value);
      } catch {
        return "an object";
      }
    },

    notCopied(what: string, error: unknown): unknown {
      if (!(error instanceof DOMException) || error.name !== "DataCloneError") return error;
      const message = `${what} cannot be copied to another thread: ${error.message}`;
      const refusal = Object.assign(new Error(message), { code: "ERR_EM_NOT_CLONEABLE" });
      Object.defineProperty(refusal, "name", { value: "ArgumentError", configurable: true, writable: true });
      for (const brand of ["EventMachineError", "ArgumentError"]) {
        Object.defineProperty(refusal, Symbol.for(`eventmachine.${brand}`), { value: true });
      }
      return refusal;
    },

    async answer(what: string, work: () => unknown, transferResult: boolean): Promise<void> {
      try {
        const result = await work();
        const { value, transfer } = transferResult
          ? { value: result, transfer: own.buffersOf(result) }
          : own.unpooled(result);
        try {
          own.reply({ kind: "returned", value }, transfer);
        } catch (error) {
          throw own.notCopied(`the result of ${what}`, error);
        }
      } catch (error) {
        own.reply({ kind: "threw", error: own.packError(error) });
      }
    },

    // Resources --------------------------------------------------------------------------------------------------------

    async makeResource({ module, args }: ThreadResourceData): Promise<Methods> {
      const { default: exported } = (await load(module)) as { default?: unknown };
      // What a compiler made CommonJS of ES modules has its default export one level down.
      const make = (exported as { default?: unknown } | undefined)?.default ?? exported;
      if (typeof make !== "function") throw new TypeError(`${module} must export a function as its default`);
      const resource: unknown = await (make as Callable)(...args);
      if (typeof resource !== "object" || resource === null) {
        throw new TypeError(`the default export of ${module} must return an object`);
      }
      return resource as Methods;
    },

    callOf(resource: Methods, { method, args }: ThreadCall): unknown {
      const call = resource[method];
      if (typeof call !== "function") throw new TypeError(`the resource has no method ${method}`);
      return call.apply(resource, args);
    },

    async dispose(resource: Methods): Promise<void> {
      try {
        const call = resource[Symbol.asyncDispose] ?? resource[Symbol.dispose];
        if (typeof call === "function") await call.call(resource);
        own.reply({ kind: "disposed" });
      } catch (error) {
        own.reply({ kind: "disposed", error: own.packError(error) });
      }
    },

    // Jobs -------------------------------------------------------------------------------------------------------------

    async run({ source, module, method, args }: ThreadRun): Promise<unknown> {
      if (source !== undefined) return own.functionOf(source)(...args);
      const exports = (await load(module as string)) as Methods;
      return own.exported(exports, method, module as string)(...args);
    },

    functionOf(source: string): Callable {
      const kept = compiled.get(source);
      if (kept !== undefined) return kept;
      // Not node:vm, whose scripts may not load modules but as an experiment. The text is the program's own.
      // biome-ignore lint/security/noGlobalEval: to run what it is sent is what the thread is for
      const made = globalThis.eval(`"use strict";${source}\n//# sourceURL=worker`) as Callable;
      if (compiled.size >= KEPT) compiled.clear();
      compiled.set(source, made);
      return made;
    },

    /** A CommonJS module has its exports in its default one. */
    exported(exports: Methods, method: string, module: string): Callable {
      const { default: all } = exports;
      const isObject = (typeof all === "object" && all !== null) || typeof all === "function";
      for (const each of isObject ? [exports, all as Methods] : [exports]) {
        const found = Object.hasOwn(each, method) ? each[method] : undefined;
        if (typeof found === "function") return found as Callable;
      }
      throw new TypeError(`${module} exports no function ${method}`);
    },

    // What is asked, one thing after the other --------------------------------------------------------------------------

    serve(resource: Methods | undefined): void {
      let work = Promise.resolve();
      port.on("message", (request: ThreadRequest) => {
        work = work.then(() => {
          if (request === undefined) return resource === undefined ? undefined : own.dispose(resource);
          if ("args" in request && "transferResult" in request) {
            return own.answer(request.method, () => own.run(request), request.transferResult);
          }
          return own.answer(request.method, () => own.callOf(resource as Methods, request), false);
        });
      });
    },

    async begin(): Promise<void> {
      if (made === undefined) {
        own.serve(undefined);
        return;
      }
      try {
        own.serve(await own.makeResource(made));
        own.reply({ kind: "made" });
      } catch (error) {
        own.reply({ kind: "made", error: own.packError(error) });
      }
    },
  };

  void own.begin();
}

/** Bundlers that keep names wrap functions in a helper of theirs, which is not there in the thread. */
const HELPERS = "globalThis.__name ??= (target) => target; var __name = globalThis.__name;";

/** For `new Worker(THREAD_PROGRAM, { eval: true })`. */
export const THREAD_PROGRAM = `${HELPERS}\n(${threadMain})(require, (module) => import(module));`;
