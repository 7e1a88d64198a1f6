import assert from "node:assert/strict";
import { test } from "node:test";
import { TlsContext, type TlsError, type TlsVerdict } from "eventmachine";
import { TlsLife, type TlsOwner } from "../../src/connection/tls_life.js";
import { type Handle, NO_HANDLE } from "../../src/engine/streams.js";
import { certificateOf } from "../../src/tls/certificates.js";
import { planStart } from "../../src/tls/tls_start.js";
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

/** A client's TLS that asks for a verdict on this chain; what came of it. */
function judge(chain: readonly Buffer[], sslVerifyPeer: (certificate: unknown, verdict: TlsVerdict) => unknown) {
  const ends: { kind: string; error: TlsError }[] = [];
  const thrown: unknown[] = [];
  const answers: boolean[] = [];
  const owner = {
    home: {
      engine: {
        tlsState: () => ({ peerCertificates: chain, verifyError: undefined }),
        answerVerify: (_: Handle, accepted: boolean) => answers.push(accepted),
      },
    },
    handle: NO_HANDLE,
    receiver: { sslVerifyPeer },
    ask: (question: (...args: unknown[]) => unknown, _: unknown, args: unknown[], answered: (x: unknown) => void) => {
      try {
        answered(question(...args));
      } catch (error) {
        thrown.push(error);
      }
    },
    end: (reason: { kind: string; error: TlsError }) => ends.push(reason),
  } as unknown as TlsOwner;
  const plan = planStart({ verifyName: false }, { tlsRole: "client", peer: undefined });
  new TlsLife(owner, plan, { verifies: true, completes: false }).onVerify();
  return { ends, thrown, answers };
}

test("a handshake whose certificate cannot be shown ends before anybody is asked", () => {
  for (const unfit of Object.values(UNFIT)) {
    const { ends, answers } = judge([unfit, ALICE.der], () => assert.fail("asked"));
    assert.deepEqual(answers, []);
    assert.deepEqual(
      ends.map(({ kind, error }) => `${kind} ${error.code}`),
      ["tls-error ERR_EM_TLS_VERIFY"],
    );
  }
});

test("so it does with the rest of its chain, where that is looked at", () => {
  for (const unfit of Object.values(UNFIT)) {
    const { ends, answers, thrown } = judge([ALICE.der, unfit], (_, { chain }) => chain.length > 0);
    assert.deepEqual(answers, []);
    assert.deepEqual(
      ends.map(({ kind, error }) => `${kind} ${error.code}`),
      ["tls-error ERR_EM_TLS_VERIFY"],
    );
    assert.deepEqual(thrown, [ends[0]?.error], "the connection's own end, and no other error");
    assert.deepEqual(judge([ALICE.der, unfit], () => true).answers, [true]);
  }
});

test("where no certificate has come nobody is asked, and nothing is accepted", () => {
  assert.deepEqual(judge([], () => assert.fail("asked")).answers, [false]);
});

test("a context does not take DER for the PEM that it carries", () => {
  const { der } = issue({ names: ["mallory"], isAuthority: true, extension: Buffer.from(`\n${ALICE.cert}`) });
  const refusal = { code: "ERR_EM_TLS_BAD_CERTIFICATE", message: /not text, perhaps DER/ };
  assert.throws(() => new TlsContext({ ca: der }), refusal);
  assert.throws(() => new TlsContext({ ca: [ALICE.cert, der] }), refusal);
  assert.throws(() => new TlsContext({ cert: der, key: ALICE.key }), refusal);
});
