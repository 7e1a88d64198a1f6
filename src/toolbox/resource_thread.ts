import { parentPort, type Transferable, workerData } from "node:worker_threads";
import { packError } from "./carried_error.js";
import { copying, unpooled } from "./thread_copies.js";
import type { ResourceThreadData, ThreadCall, ThreadReply, ThreadRequest } from "./thread_messages.js";

/**
 * What runs in the thread of a ThreadedResource: makes the resource, calls its methods one at a time, disposes of it.
 * The other end is `threaded_resource.ts`.
 */

type Methods = Record<PropertyKey, unknown>;

const port = parentPort as NonNullable<typeof parentPort>;

function reply(message: ThreadReply, transfer?: readonly Transferable[]): void {
  port.postMessage(message, transfer);
}

async function makeResource({ module, args }: ResourceThreadData): Promise<Methods> {
  const { default: exported } = (await import(module)) as { default?: unknown };
  // What a compiler made CommonJS of ES modules has its default export one level down.
  const make = (exported as { default?: unknown } | undefined)?.default ?? exported;
  if (typeof make !== "function") throw new TypeError(`${module} must export a function as its default`);
  const resource: unknown = await make(...args);
  if (typeof resource !== "object" || resource === null) {
    throw new TypeError(`the default export of ${module} must return an object`);
  }
  return resource as Methods;
}

async function answer(resource: Methods, { method, args }: ThreadCall): Promise<void> {
  try {
    const call = resource[method];
    if (typeof call !== "function") throw new TypeError(`the resource has no method ${method}`);
    const { value, transfer } = unpooled(await call.apply(resource, args));
    copying(`what ${method} returned`, () => reply({ kind: "returned", value }, transfer));
  } catch (error) {
    reply({ kind: "threw", error: packError(error) });
  }
}

async function dispose(resource: Methods): Promise<void> {
  try {
    const call = resource[Symbol.asyncDispose] ?? resource[Symbol.dispose];
    if (typeof call === "function") await call.call(resource);
    reply({ kind: "disposed" });
  } catch (error) {
    reply({ kind: "disposed", error: packError(error) });
  }
}

function serve(resource: Methods): void {
  // A chain: each call is made when the one before it has been answered.
  let work = Promise.resolve();
  port.on("message", (request: ThreadRequest) => {
    work = work.then(() => (request === undefined ? dispose(resource) : answer(resource, request)));
  });
}

try {
  const resource = await makeResource(workerData as ResourceThreadData);
  serve(resource);
  reply({ kind: "made" });
} catch (error) {
  reply({ kind: "made", error: packError(error) });
}
