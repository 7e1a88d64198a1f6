import assert from "node:assert/strict";
import { test } from "node:test";
import { failureOf } from "../../../src/engine/portable/tls_failures.js";

function alertOf(code: string): string | undefined {
  const { alert } = failureOf(Object.assign(new Error("words"), { code }), false);
  if (alert !== undefined) assert.equal(alert.from, "peer");
  return alert?.name;
}

test("the peer's alert is read from the codes of every OpenSSL", () => {
  for (const [code, name] of [
    ["ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE", "handshake_failure"], // Node 20
    ["ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", "handshake_failure"], // Node 22 and later
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "unknown_ca"],
    ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate_required"],
    ["ERR_SSL_TLSV1_UNRECOGNIZED_NAME", "unrecognized_name"],
  ] as const) {
    assert.equal(alertOf(code), name, code);
  }
});

test("what the peer did not say is no alert", () => {
  assert.equal(alertOf("ERR_SSL_WRONG_VERSION_NUMBER"), undefined);
  assert.equal(alertOf("ERR_SSL_HTTP_REQUEST"), undefined);
});
