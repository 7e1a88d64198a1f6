import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { connect as secure } from "node:tls";
import { ArgumentError, TlsContext } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { clientContext, serverContext } from "../support/pki.js";
import type { Recorder } from "../support/recorder.js";
import { answerOf, helloOf, message, record, records, TYPE } from "../support/tls_flights.js";
import type { Served } from "../support/trial.js";
import { until } from "../support/wait.js";

/** The beginning of a hello that declares to be so long. */
function declared(length: number, ...rest: Buffer[]): Buffer {
  const header = Buffer.from([TYPE.clientHello, length >> 16, (length >> 8) & 0xff, length & 0xff]);
  return Buffer.concat([header, ...rest]);
}

function raw(served: Served): Socket {
  const { host, port } = served.at as { host: string; port: number };
  return connect({ host, port, allowHalfOpen: true }).on("error", () => {});
}

/** What comes until the end. */
async function answer(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on("data", (part: Buffer) => parts.push(part));
  await once(socket, "end");
  socket.destroy();
  return Buffer.concat(parts);
}

/** So many names of protocols that a hello has about this size. */
function protocols(size: number): string[] {
  return Array.from({ length: Math.floor(size / 201) }, (_, n) => `${n}`.padEnd(200, "x"));
}

function checkTooLong({ reason }: Recorder, most = 16_384): void {
  assert.ok(reason?.kind === "tls-error", reason?.kind);
  assert.equal(reason.error.code, "ERR_EM_TLS_HANDSHAKE");
  assert.equal(reason.error.reason, `the client's hello has more than ${most} bytes`);
  assert.deepEqual(reason.error.alert, { name: "illegal_parameter", from: "local" });
}

const ALERT = Buffer.from([21, 3, 3, 0, 2, 2, 47]);
const LONGEST = 2 ** 24 - 1;

/** Hellos that declare too much, by how they come. */
const TOO_LONG: Record<string, Buffer[]> = {
  "in one record": [record(TYPE.handshake, declared(LONGEST, Buffer.alloc(1_000)))],
  "of a byte more": [record(TYPE.handshake, declared(16_385))],
  "in records of one byte": [
    Buffer.concat([...declared(131_000, Buffer.alloc(50))].map((byte) => record(TYPE.handshake, Buffer.of(byte)))),
  ],
  "in segments of one byte": [...record(TYPE.handshake, declared(20_000))].map((byte) => Buffer.of(byte)),
  "behind empty records": [
    Buffer.concat([
      ...Array.from({ length: 20 }, () => record(TYPE.handshake, Buffer.alloc(0))),
      record(TYPE.handshake, declared(LONGEST)),
    ]),
  ],
};

onEveryEngine("bounds of TLS", (engine) => {
  const refused = (tls: object) => (trial: { serve(script: object, options: object): unknown }) =>
    trial.serve({}, { tls: serverContext(tls) });

  for (const [how, segments] of Object.entries(TOO_LONG)) {
    engine.ruleNeeding(
      "tlsBounds",
      `a hello that declares too much is refused before it is there, ${how}`,
      async (trial) => {
        const served = await trial.over("tls").serve();
        const socket = raw(served);
        socket.setNoDelay(true);
        const answered = answer(socket);
        for (const segment of segments) {
          socket.write(segment);
          if (segments.length > 1) await trial.turn();
        }
        assert.deepEqual(await answered, ALERT);
        await trial.allUnbound(await served.peer());
        checkTooLong(await served.peer());
      },
      refused({ maxClientHello: 16_384 }),
    );
  }

  engine.ruleNeeding(
    "tlsBounds",
    "a second hello is judged as the first",
    async (trial) => {
      const served = await trial.serve({}, { tls: serverContext({ curves: "P-384" }) });
      const hello = await helloOf({ ecdhCurve: "X25519:P-384", minVersion: "TLSv1.3" });
      const socket = raw(served);
      socket.write(hello);
      const [retry] = (await once(socket, "data")) as [Buffer];
      assert.equal(retry[0], TYPE.handshake, "the server asks for another hello");
      const answered = answer(socket);
      socket.write(
        Buffer.concat([record(TYPE.changeCipherSpec, Buffer.of(1)), record(TYPE.handshake, declared(LONGEST))]),
      );
      assert.ok((await answered).subarray(-ALERT.length).equals(ALERT));
      await trial.allUnbound(await served.peer());
      checkTooLong(await served.peer());
    },
    refused({ maxClientHello: 16_384 }),
  );

  engine.ruleNeeding(
    "tlsBounds",
    "the bound is the option's, to the byte, and hellos below it are taken",
    async (trial) => {
      for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
        const ALPNProtocols = protocols(8_000);
        const options = { ALPNProtocols, maxVersion: version, rejectUnauthorized: false };
        const size = (await helloOf(options)).length - 9;
        for (const most of [size - 1, size]) {
          const tls = serverContext({ maxClientHello: most, alpn: [ALPNProtocols.at(-1) as string] });
          const served = await trial.serve({}, { tls });
          const { host, port } = served.at as { host: string; port: number };
          const client = secure({ host, port, ...options });
          const ended = new Promise((resolve) => client.on("error", resolve).on("secureConnect", resolve));
          const outcome = await ended;
          const peer = await served.peer();
          if (most < size) {
            assert.match(String(outcome), /illegal parameter/);
            await trial.allUnbound(peer);
            checkTooLong(peer, most);
          } else assert.equal(client.getProtocol(), version);
          client.destroy();
          await trial.allUnbound(peer);
        }
      }
    },
    refused({ maxClientHello: 2_048 }),
  );

  engine.ruleNeeding(
    "tlsBounds",
    "what is no hello is OpenSSL's to refuse, and handshakes in records of one byte go through",
    async (trial) => {
      const served = await trial.over("tls").serve();
      const hello = await helloOf({ minVersion: "TLSv1.3" });
      const body = hello.subarray(5);
      const socket = raw(served);
      socket.write(Buffer.concat([...body].map((byte) => record(TYPE.handshake, Buffer.of(byte)))));
      const [flight] = (await once(socket, "data")) as [Buffer];
      assert.equal(flight[5], 2, "a ServerHello");
      socket.destroy();
      for (const garbage of [
        Buffer.from("GET / HTTP/1.1\r\n\r\n"),
        Buffer.alloc(64, 0xff),
        Buffer.of(0x80, 0x2e, 1, 3, 1),
      ]) {
        const other = raw(served);
        other.end(garbage);
        await once(other.resume(), "close");
      }
      await until(() => served.peers.length === 4, "all were accepted");
      await trial.allUnbound();
      for (const { reason } of served.peers) {
        assert.ok(reason?.kind === "tls-error" && reason.error.code === "ERR_EM_TLS_HANDSHAKE", reason?.kind);
        assert.doesNotMatch(reason.error.reason ?? "", /the client's hello/);
      }
    },
    refused({ maxKeyUpdates: 32 }),
  );

  engine.ruleNeeding(
    "tlsBounds",
    "a server that declares too long a key exchange is refused",
    async (trial) => {
      const { certified } = await answerOf();
      const server = createServer((socket) => {
        socket.on("error", () => {});
        socket.write(Buffer.concat([certified, records(message(TYPE.serverKeyExchange, 16_385)).subarray(0, 100)]));
      });
      const port = await trial.listen(server);
      const tls = { context: clientContext({ maxVersion: "TLSv1.2" }), serverName: "server.test" };
      const client = trial.dial({ host: "127.0.0.1", port }, {}, { tls });
      await trial.allUnbound(client);
      const { reason } = client;
      assert.ok(reason?.kind === "tls-error", reason?.kind);
      assert.equal(reason.error.reason, "the server's key exchange has more than 16384 bytes");
      assert.deepEqual(reason.error.alert, { name: "illegal_parameter", from: "local" });
    },
    refused({ maxClientHello: 2_048 }),
  );

  engine.rule("bounds are checked", () => {
    for (const [name, least, most] of [
      ["maxClientHello", 1_024, 131_072],
      ["maxCertificateChain", 1_024, 1_048_576],
      ["maxKeyUpdates", 1, 1_000_000],
    ] as const) {
      for (const value of [0, least - 1, most + 1, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "32", null]) {
        assert.throws(
          () => new TlsContext({ [name]: value }),
          (error) => {
            assert.ok(error instanceof ArgumentError);
            assert.match(error.message, new RegExp(`^${name} must be a whole number from ${least} to ${most}, not `));
            return true;
          },
        );
      }
      new TlsContext({ [name]: least });
      new TlsContext({ [name]: most });
    }
  });

  engine.ruleNeeding(
    "tlsBounds",
    "a client's bounds are its own",
    async (trial) => {
      const served = await trial.over("tls").serve();
      const client = trial.dial(
        served,
        {},
        { tls: { rejectUnauthorized: false, verifyName: false, maxCertificateChain: 1_024 } },
      );
      await client.secured;
      client.closeConnection();
      await trial.allUnbound();
    },
    (trial) => trial.dial({ host: "127.0.0.1", port: 1 }, {}, { tls: { maxKeyUpdates: 5 } }),
  );
});
