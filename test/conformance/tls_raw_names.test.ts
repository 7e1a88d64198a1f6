import assert from "node:assert/strict";
import { connect as connectRaw } from "node:net";
import { Duplex } from "node:stream";
import { connect } from "node:tls";
import { TlsContext } from "eventmachine";
import { encodeHello, inRecords, parseHello } from "../fuzz/wire/hello.js";
import { onEveryEngine } from "../support/harness.js";
import { identity, serverContext } from "../support/pki.js";
import { within } from "../support/wait.js";

const SERVER_NAME = 0;
const PLAIN = await new Promise<Buffer>((resolve) => {
  const wire = new Duplex({
    read() {},
    write(data: Buffer, _encoding, done) {
      resolve(data);
      done();
      setImmediate(() => client.destroy());
    },
  });
  const client = connect({ socket: wire, servername: "a.test" });
  client.on("error", () => {});
});

function counted(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]);
}

function entry(name: string, type = 0): Buffer {
  return Buffer.concat([Buffer.of(type), counted(Buffer.from(name, "latin1"))]);
}

/** A ClientHello whose extension of server names holds these bytes. */
function helloWith(data: Buffer): Buffer {
  const hello = parseHello(PLAIN);
  const extensions = hello.extensions.filter(({ type }) => type !== SERVER_NAME);
  return inRecords(encodeHello({ ...hello, extensions: [{ type: SERVER_NAME, data }, ...extensions] }), 16_384);
}

const ANSWERED = "handshake";
const REFUSED = "alert";

/** What a peer sends, what `selectContext` is asked, and what comes back. */
const NAMES: readonly [string, Buffer, string | undefined, string][] = [
  ["a name", counted(entry("b.test")), "b.test", ANSWERED],
  ["capitals", counted(entry("B.TeSt")), "b.test", ANSWERED],
  ["a name of `contexts`, in capitals", counted(entry("KNOWN.test")), undefined, ANSWERED],
  ["a trailing dot", counted(entry("b.test.")), "b.test", ANSWERED],
  ["63 letters in a label", counted(entry(`${"x".repeat(63)}.test`)), `${"x".repeat(63)}.test`, ANSWERED],
  ["64 letters in a label", counted(entry(`${"x".repeat(64)}.test`)), undefined, ANSWERED],
  ["255 bytes", counted(entry(`${"abc.".repeat(63)}abc`)), undefined, ANSWERED],
  ["256 bytes", counted(entry(`${"abc.".repeat(63)}abcd`)), undefined, REFUSED],
  ["an IPv4 address", counted(entry("127.0.0.1")), undefined, ANSWERED],
  ["an address in another spelling", counted(entry("0x7f.1")), undefined, ANSWERED],
  ["an IPv6 address", counted(entry("::1")), undefined, ANSWERED],
  ["an address in brackets", counted(entry("[::1]")), undefined, ANSWERED],
  ["bytes that are not ASCII", counted(entry("b\xfccher.test")), undefined, ANSWERED],
  ["UTF-8", counted(entry("b\xc3\xbccher.test")), undefined, ANSWERED],
  ["an empty label", counted(entry("b..test")), undefined, ANSWERED],
  ["a dot alone", counted(entry(".")), undefined, ANSWERED],
  ["a wildcard", counted(entry("*.test")), undefined, ANSWERED],
  ["a space", counted(entry("b test")), undefined, ANSWERED],
  ["a line break", counted(entry("b.test\r\n")), undefined, ANSWERED],
  ["a path", counted(entry("../b.test/x")), undefined, ANSWERED],
  ["a port", counted(entry("b.test:443")), undefined, ANSWERED],
  ["a name of JavaScript's", counted(entry("__proto__")), "__proto__", ANSWERED],
  ["a NUL inside", counted(entry("b.test\0.evil")), undefined, REFUSED],
  ["a NUL at the end", counted(entry("b.test\0")), undefined, REFUSED],
  ["an empty name", counted(entry("")), undefined, ANSWERED],
  ["no name in the list", counted(Buffer.alloc(0)), undefined, REFUSED],
  ["nothing at all", Buffer.alloc(0), undefined, REFUSED],
  ["another type of name", counted(entry("b.test", 1)), undefined, REFUSED],
  ["two names", counted(Buffer.concat([entry("b.test"), entry("c.test")])), undefined, REFUSED],
  ["a list longer than it is", Buffer.concat([Buffer.of(0, 200), entry("b.test")]), undefined, REFUSED],
  [
    "a name longer than its list",
    Buffer.concat([Buffer.of(0, 9, 0, 0, 50), Buffer.from("b.test")]),
    undefined,
    REFUSED,
  ],
];

onEveryEngine("TLS, server names as a hostile peer sends them", (engine) => {
  for (const [what, data, asked, answer] of NAMES) {
    engine.rule(
      `${what}: ${asked === undefined ? "nobody is asked" : "one spelling is asked for"}, ${answer}`,
      async (trial) => {
        const names: string[] = [];
        const tls = new TlsContext({
          ...identity("server"),
          contexts: { "known.test": serverContext() },
          selectContext: (name) => void names.push(name),
        });
        const served = await trial.serve({}, { tls });
        const { port } = served.at as { port: number };
        const socket = connectRaw(port, "127.0.0.1");
        const first = new Promise<number | undefined>((resolve) => {
          socket.once("data", ([type]) => resolve(type));
          socket.on("error", () => resolve(undefined)).on("close", () => resolve(undefined));
        });
        socket.write(helloWith(data));
        const type = await within(first, "an answer");
        assert.deepEqual(names, asked === undefined ? [] : [asked]);
        // Node's server may close before its alert is out.
        if (answer === ANSWERED) assert.equal(type, 22);
        else assert.notEqual(type, 22);
        socket.destroy();
        await trial.allUnbound();
      },
    );
  }
});
