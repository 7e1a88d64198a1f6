import { codeOf } from "../base/error_code.js";
import { ArgumentError } from "../base/errors.js";

/**
 * Makes bytes that are sent to another thread stand alone: a view is sent with all the memory it looks into, which for a
 * small Buffer is Node's pool, with other people's bytes in it. The copy is handed over, not copied again.
 */
export function unpooled(value: unknown): { value: unknown; transfer: ArrayBuffer[] } {
  const isPart =
    value instanceof Uint8Array && value.buffer instanceof ArrayBuffer && value.byteLength < value.buffer.byteLength;
  if (!isPart) return { value, transfer: [] };
  const copy = new Uint8Array(value);
  return { value: copy, transfer: [copy.buffer] };
}

/** Does what copies values to another thread; for values that cannot be, the error names them. */
export function copying<T>(what: string, send: () => T): T {
  try {
    return send();
  } catch (error) {
    if (codeOf(error) === "ERR_INVALID_TRANSFER_OBJECT") {
      throw new ArgumentError(
        "transfer must hold what can be handed over to another thread: ArrayBuffers, MessagePorts and the like",
      );
    }
    if (!(error instanceof DOMException) || error.name !== "DataCloneError") throw error;
    throw new ArgumentError(`${what} cannot be copied to another thread: ${error.message}`, "ERR_EM_NOT_CLONEABLE");
  }
}
