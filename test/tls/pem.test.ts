import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { TlsContext, TlsError, type TlsOptions } from "eventmachine";
import { readCertificates } from "../../src/tls/certificates.js";
import { issue } from "../support/certificates.js";
import { identity, pkiFile } from "../support/pki.js";

const ONE = issue({ names: ["One"], isAuthority: true });
const TWO = issue({ names: ["Two"], isAuthority: true });
const THREE = issue({ names: ["Three"], isAuthority: true });
const BUNDLE = `# One\n${ONE.cert}\n Two\n=====\n${TWO.cert}${THREE.cert}`;
const LIST = "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n";

function read(text: string | Buffer): string[] {
  return readCertificates(Buffer.from(text), "ca").map(({ subject }) => subject);
}

/** What is wrong with the second certificate of three, and what the error says. */
const DAMAGED: Readonly<Record<string, [string, RegExp]>> = {
  "no last line": [TWO.cert.replace(/-----END.*\n/, ""), /^ca: certificate 2 is cut off$/],
  "half a last line": [TWO.cert.replace("-----END CERTIFICATE-----", "-----END CERT"), /certificate 2 is cut off/],
  "another last line": [TWO.cert.replace("END CERTIFICATE", "END X509 CRL"), /certificate 2 is cut off/],
  "no first line": [TWO.cert.replace(/^-----BEGIN.*\n/, ""), /certificate 2 has an end and no beginning/],
  "a first line with a dash too few": [TWO.cert.slice(1), /the first line of certificate 2 is damaged/],
  "a first line with a dash too many": [`-${TWO.cert}`, /the first line of certificate 2 is damaged/],
  "a first line that goes on": [TWO.cert.replace("-----\n", "------\n"), /certificate 2 is not in base64/],
  "a line of its middle lost": [TWO.cert.replace(/\n.{64}\n/, "\n"), /certificate 2 is not one/],
  "a byte lost": [TWO.cert.replace(/\n.(.*\n)-----END/, "\n$1-----END"), /certificate 2 is not (in base64|one)/],
  "a word inside": [TWO.cert.replace("\nM", "\nhello, M"), /certificate 2 is not in base64/],
  "a line of something else inside": [
    TWO.cert.replace(/\n-----END/, "\n<html>\n-----END"),
    /certificate 2 is not in base64/,
  ],
  "nothing inside": ["-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", /certificate 2 is not in base64/],
  "zeros inside": [
    `-----BEGIN CERTIFICATE-----\n${"A".repeat(64)}\n-----END CERTIFICATE-----\n`,
    /certificate 2 is not one/,
  ],
  "bytes after the certificate": [
    TWO.cert.replace(/\n[\s\S]*\n-/, `\n${Buffer.concat([TWO.der, Buffer.of(5, 0)]).toString("base64")}\n-`),
    /certificate 2 is not one/,
  ],
  "a list of those revoked": [LIST, /the X509 CRL before certificate 2 does not belong there/],
  "a request": [TWO.cert.replaceAll("CERTIFICATE", "CERTIFICATE REQUEST"), /CERTIFICATE REQUEST before certificate 2/],
  "a PKCS #7 container": [TWO.cert.replaceAll("CERTIFICATE", "PKCS7"), /PKCS7 before certificate 2/],
  "a key that is cut off": ["-----BEGIN PRIVATE KEY-----\nAAAA\n", /the PRIVATE KEY before certificate 2 is cut off/],
  "rules of trust": [
    // What `openssl x509 -addreject serverAuth -trustout` writes after the certificate.
    TWO.cert
      .replaceAll("CERTIFICATE", "TRUSTED CERTIFICATE")
      .replace(
        /\n[\s\S]*\n-/,
        `\n${Buffer.concat([TWO.der, Buffer.from("300c300a06082b06010505070301", "hex")]).toString("base64")}\n-`,
      ),
    /certificate 2 has rules of trust, which are not followed/,
  ],
};

describe("certificates in PEM", () => {
  test("are all read, whatever text stands between them", () => {
    const subjects = ["CN=One", "CN=Two", "CN=Three"];
    assert.deepEqual(read(BUNDLE), subjects);
    assert.deepEqual(read(`\ufeff${BUNDLE}`), subjects, "a byte order mark");
    assert.deepEqual(read(BUNDLE.replaceAll("\n", "\r\n")), subjects, "lines of Windows");
    assert.deepEqual(read(BUNDLE.replaceAll("\n", "\r")), subjects, "lines of old");
    assert.deepEqual(read(BUNDLE.replaceAll(/\n(?!-)/g, "\n\t ")), subjects, "lines set in");
    assert.deepEqual(
      read(BUNDLE.replaceAll("-----\n-----", "----------")),
      subjects,
      "files put together without a line end",
    );
    assert.deepEqual(read(Buffer.from(`Schlüssel\n${BUNDLE}`, "latin1")), subjects, "a comment that is not UTF-8");
    assert.deepEqual(read(BUNDLE.replaceAll(/(?<=[A-Za-z0-9+/])\n(?!-)/g, "")), subjects, "all of it in one line");
    assert.deepEqual(read(`${ONE.key}${BUNDLE}${TWO.key}`), subjects, "keys beside them");
    assert.deepEqual(read(`${BUNDLE}-----\n`), subjects, "a ruled line at the end");
  });

  test("may have the labels of old, and be trusted without rules", () => {
    for (const label of ["X509 CERTIFICATE", "TRUSTED CERTIFICATE"]) {
      assert.deepEqual(read(BUNDLE.replaceAll("CERTIFICATE", label)), ["CN=One", "CN=Two", "CN=Three"], label);
    }
  });

  test("are refused wherever a bundle is cut off, or what is whole is read", () => {
    const text = BUNDLE.slice(BUNDLE.indexOf("-"));
    const ends = [...text.matchAll(/-----END CERTIFICATE-----/g)].map(({ index }) => index + 25);
    let refused = 0;
    for (let length = 1; length <= text.length; length++) {
      const whole = ends.filter((end) => end <= length).length;
      const rest = text.slice(whole === 0 ? 0 : ends[whole - 1], length);
      try {
        assert.equal(read(text.slice(0, length)).length, whole);
        assert.doesNotMatch(rest, /-/, `cut off at ${length}, and not refused`);
      } catch (error) {
        assert.ok(error instanceof TlsError, `${length}: ${error}`);
        assert.equal(error.message, `ca: certificate ${whole + 1} is cut off`);
        refused++;
      }
    }
    assert.ok(refused > text.length - 50, `${refused} of ${text.length}`);
  });

  for (const [what, [damaged, message]] of Object.entries(DAMAGED)) {
    test(`are refused where one has ${what}`, () => {
      const text = ONE.cert + damaged + THREE.cert;
      const refusal = { name: "TlsError", code: "ERR_EM_TLS_BAD_CERTIFICATE", message };
      assert.throws(() => read(text), refusal);
      assert.throws(() => read(text.replaceAll("\n", "\r\n")), refusal);
    });
  }

  test("cost no more than their length", () => {
    const long = "-----BEGIN CERTIFICATE-----\n".padEnd(4_000_000, "A");
    for (const text of [long, `${long}\n-----END CERTIFICATE-----`, "-".repeat(4_000_000), "--BEGIN".repeat(500_000)]) {
      const begun = process.cpuUsage();
      assert.throws(() => read(text), TlsError);
      const { user } = process.cpuUsage(begun);
      assert.ok(user < 2_000_000, `${user} µs`);
    }
  });
});

describe("a TLS context", () => {
  const damaged = ONE.cert + (DAMAGED["no last line"] as [string, RegExp])[0];
  const server = identity("server");

  /** Whatever the option, and however it is given. */
  const refuses = (options: TlsOptions, code: string, message: RegExp) =>
    assert.throws(() => new TlsContext(options), { name: "TlsError", code, message });

  test("says in which option, and which of its values, a certificate is damaged", (context) => {
    const folder = `${process.env.TMPDIR ?? "/tmp"}/em-pem-${process.pid}.pem`;
    writeFileSync(folder, damaged);
    context.after(() => import("node:fs").then(({ rmSync }) => rmSync(folder)));
    const code = "ERR_EM_TLS_BAD_CERTIFICATE";
    for (const given of [damaged, Buffer.from(damaged), new Uint8Array(Buffer.from(damaged)), folder]) {
      refuses({ ca: given }, code, /^ca: certificate 2 is cut off$/);
      refuses({ ca: [ONE.cert, "default", given] }, code, /^ca\[2\]: certificate 2 is cut off$/);
      refuses({ ...server, cert: given }, code, /^cert: certificate 2 is cut off$/);
      refuses({ identities: [{ ...server, cert: given }] }, code, /^identities\[0\]\.cert: certificate 2 is cut off$/);
      refuses(
        { ...server, contexts: { "a.test": { ...server, cert: given } } },
        code,
        /^cert: certificate 2 is cut off$/,
      );
    }
  });

  test("refuses a damaged key, several keys, and never shows one", () => {
    const key = pkiFile("server-key.pem").toString();
    const code = "ERR_EM_TLS_BAD_KEY";
    refuses({ ...server, key: key.replace(/-----END.*\n/, "") }, code, /^key: private key 1 is cut off$/);
    refuses({ ...server, key: key.replace("\nM", "\n!M") }, code, /^key: private key 1 is not in base64$/);
    refuses({ ...server, key: key.replace("PRIVATE KEY", "CERTIFICATE") }, code, /^key: /);
    refuses({ ...server, key: key + ONE.key }, code, /^key: it holds 2 private keys, and may hold one$/);
    refuses({ cert: pkiFile("server.pem") + key + ONE.key }, code, /^cert: it holds 2 private keys/);
    refuses(
      { cert: pkiFile("server.pem") + key.slice(0, -20) },
      "ERR_EM_TLS_BAD_CERTIFICATE",
      /PRIVATE KEY before certificate 2 is cut off/,
    );
    const secret = key.split("\n")[1] as string;
    for (const broken of [
      key.slice(5),
      key.replace("BEGIN", "begin"),
      `${secret}\n${secret}`,
      key.replaceAll("\n", "\\n"),
    ]) {
      try {
        new TlsContext({ ...server, key: broken });
        assert.fail("it was taken");
      } catch (error) {
        assert.ok(error instanceof TlsError, `${error}`);
        assert.equal(error.code, code);
        assert.ok(!JSON.stringify([error.message, error.stack, error]).includes(secret), "the key is in the error");
      }
    }
  });

  test("takes keys in one line, in lines of Windows, and with headers", () => {
    const key = pkiFile("server-key.pem").toString();
    assert.ok(new TlsContext({ ...server, key: key.replaceAll(/(?<=[A-Za-z0-9+/=])\n(?!-)/g, "") }));
    assert.ok(new TlsContext({ ...server, key: key.replaceAll("\n", "\r\n") }));
    assert.ok(new TlsContext({ cert: `text\n${key}text\n${pkiFile("server.pem")}` }));
  });

  test("has no option for lists of those revoked, and says so", () => {
    assert.throws(() => new TlsContext({ crl: LIST } as never), { code: "ERR_EM_INVALID_ARGUMENT", message: /crl/ });
    assert.ok(new X509Certificate(ONE.cert).ca);
  });
});
