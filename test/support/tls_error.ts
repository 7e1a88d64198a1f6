import assert from "node:assert/strict";
import { type CloseReason, TlsError } from "eventmachine";

/** The error of a connection that TLS has ended. */
export function tlsError(reason: CloseReason | undefined): TlsError {
  assert.equal(reason?.kind, "tls-error", `ended by ${JSON.stringify(reason)}`);
  const { error } = reason as CloseReason & { kind: "tls-error" };
  assert.ok(error instanceof TlsError);
  return error;
}
