import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import * as tls from "node:tls";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { AUTHORITY, identity } from "../support/pki.js";

const PROGRAM = fileURLToPath(new URL("programs/trusting.js", import.meta.url));
const { cert, key } = identity("self");
const run = promisify(execFile);

/** What node:tls, `tls: true` and `ca: ["default", ...]` said in each place. */
async function ask(engine: string, mode: string, flags: string[], variables: NodeJS.ProcessEnv): Promise<string[]> {
  const { NODE_EXTRA_CA_CERTS: _, NODE_OPTIONS: __, SSL_CERT_FILE: ___, ...env } = process.env;
  const args = [...flags, PROGRAM, engine, cert, key, mode];
  const { stdout } = await run(process.execPath, args, { env: { ...env, ...variables }, timeout: 60_000 });
  return stdout.trim().split("\n");
}

const EVERYWHERE = ["main thread", "no arguments", "no environment"];
const all = (answer: string) => EVERYWHERE.map((where) => `${where}: ${answer}, ${answer}, ${answer}`);

for (const engine of ["native", "portable"]) {
  describe(`Node's trust on ${engine}`, () => {
    const cases: readonly [string, string[], NodeJS.ProcessEnv, string][] = [
      ["nothing said", [], { SSL_CERT_FILE: cert }, "refused"],
      ["NODE_EXTRA_CA_CERTS", [], { NODE_EXTRA_CA_CERTS: cert }, "trusted"],
      ["--use-bundled-ca", ["--use-bundled-ca"], { SSL_CERT_FILE: cert }, "refused"],
      ["--use-openssl-ca", ["--use-openssl-ca"], { SSL_CERT_FILE: cert }, "trusted"],
      [
        "--use_openssl_ca, behind another option",
        ["--conditions", "x", "--use_openssl_ca"],
        { SSL_CERT_FILE: cert },
        "trusted",
      ],
      [
        "--use-openssl-ca in NODE_OPTIONS",
        [],
        { NODE_OPTIONS: "--no-warnings --use-openssl-ca", SSL_CERT_FILE: cert },
        "trusted",
      ],
      ["both", ["--use-openssl-ca"], { NODE_EXTRA_CA_CERTS: cert, SSL_CERT_FILE: "/dev/null" }, "trusted"],
    ];
    for (const [what, flags, variables, answer] of cases) {
      test(`it is followed in every thread: ${what}`, async () => {
        assert.deepEqual(await ask(engine, "workers", flags, variables), all(answer));
      });
    }

    if ("setDefaultCACertificates" in tls) {
      test("a list that is set before the first connection is all there is", async () => {
        const variables = { NODE_EXTRA_CA_CERTS: cert, SSL_CERT_FILE: cert };
        for (const flags of [[], ["--use-openssl-ca"]]) {
          const said = await ask(engine, "none first", flags, variables);
          assert.deepEqual(said, ["main thread: refused, refused, refused"], `${flags}`);
        }
        assert.deepEqual(await ask(engine, "own in a worker", [], variables), [
          "main thread: trusted, trusted, trusted",
          "no arguments: refused, refused, refused",
          "no environment: refused, refused, refused",
        ]);
      });

      test("no session outlives a change of the list, of a client and of a server", async () => {
        const resuming = fileURLToPath(new URL("programs/resuming.js", import.meta.url));
        const args = [resuming, engine, cert, key, AUTHORITY];
        const { stdout } = await run(process.execPath, args, { timeout: 60_000 });
        const expected = ["TLSv1.2", "TLSv1.3"].flatMap((version) =>
          ["Node's list", "Node's list and more"].flatMap((list) => [
            `${version}, ${list}, client: full resumed refused full resumed`,
            `${version}, ${list}, server: full resumed refused refused`,
          ]),
        );
        assert.deepEqual(stdout.trim().split("\n"), expected);
      });

      test("a list that is set counts from the next connection on, also one that takes away", async () => {
        for (const flags of [[], ["--use-openssl-ca"]]) {
          const variables = { NODE_EXTRA_CA_CERTS: cert, SSL_CERT_FILE: cert };
          assert.deepEqual(await ask(engine, "set", flags, variables), [
            "main thread: trusted, trusted, trusted",
            "1 set: trusted, trusted, trusted",
            "0 set: refused, refused, refused",
          ]);
        }
      });
    }
  });
}
