import assert from "node:assert/strict";
import { test } from "node:test";
import { TlsContext, type TlsError } from "eventmachine";
import { NO_HANDLE } from "../../src/engine/streams.js";
import { TlsLife, type TlsOwner } from "../../src/reactor/tls_life.js";
import { planStart } from "../../src/reactor/tls_start.js";
import { certificateOf } from "../../src/tls/certificates.js";
import { issue } from "../support/certificates.js";

const ALICE = issue({ names: ["alice"] });

test("a certificate of any length reads back as it is", () => {
  for (let padding = 0; padding < 100; padding++) {
    const { der } = issue({ names: ["alice"], extension: Buffer.alloc(padding, "x") });
    assert.deepEqual(certificateOf(der).raw, der);
  }
});

/** Bytes that are no certificate, or not one exactly. */
const UNFIT: Readonly<Record<string, Buffer>> = {
  "no bytes at all": Buffer.alloc(0),
  garbage: Buffer.from("garbage"),
  "a certificate in PEM": Buffer.from(ALICE.cert),
  "one that is cut off": ALICE.der.subarray(0, -1),
  "one with more behind it": Buffer.concat([ALICE.der, Buffer.of(5, 0)]),
  "two of them": Buffer.concat([ALICE.der, ALICE.der]),
  "one with another one's PEM before it": Buffer.concat([Buffer.from(ALICE.cert), ALICE.der]),
};

for (const [what, bytes] of Object.entries(UNFIT)) {
  test(`what is not one certificate in DER is refused: ${what}`, () => {
    assert.throws(() => certificateOf(bytes), { name: "TlsError", code: "ERR_EM_TLS_VERIFY" });
  });
}

test("a handshake whose certificate cannot be shown ends before anybody is asked", () => {
  for (const unfit of Object.values(UNFIT)) {
    const ends: unknown[] = [];
    const state = { peerCertificates: [ALICE.der, unfit], verifyError: undefined };
    const owner = {
      core: { engine: { tlsState: () => state, answerVerify: () => assert.fail("answered") } },
      handle: NO_HANDLE,
      callbacks: {},
      ask: () => assert.fail("asked"),
      end: (reason: unknown) => ends.push(reason),
    } as unknown as TlsOwner;
    const plan = planStart({ verifyName: false }, { tlsRole: "client", peer: undefined });
    new TlsLife(owner, plan, { verifies: true, completes: false }).onVerify();
    const [end] = ends as [{ kind: string; error: TlsError }];
    assert.equal(ends.length, 1);
    assert.equal(end.kind, "tls-error");
    assert.equal(end.error.code, "ERR_EM_TLS_VERIFY");
  }
});

test("a context does not take DER for the PEM that it carries", () => {
  const { der } = issue({ names: ["mallory"], isAuthority: true, extension: Buffer.from(`\n${ALICE.cert}`) });
  const refusal = { code: "ERR_EM_TLS_BAD_CERTIFICATE", message: /not text, perhaps DER/ };
  assert.throws(() => new TlsContext({ ca: der }), refusal);
  assert.throws(() => new TlsContext({ ca: [ALICE.cert, der] }), refusal);
  assert.throws(() => new TlsContext({ cert: der, key: ALICE.key }), refusal);
});
