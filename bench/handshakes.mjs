// How long do honest clients wait for their TLS handshake while others do their worst?
//
//   node bench/handshakes.mjs [hostile peers, default 6000] [seconds, default 20]
//
// Three processes: a server with a P-256 certificate, the hostile peers, and honest clients, 50 full handshakes a second. A third of the
// hostile peers connects and is silent, a third sends garbage, a third stops half way in its hello; whoever is closed
// comes again after 2 s. Prints the p50, p99 and worst of the honest handshakes in milliseconds, from connect to secured.
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { connect as secure } from "node:tls";
import { fileURLToPath } from "node:url";
import { Connection, run, startServer } from "eventmachine";

const PKI = fileURLToPath(new URL("../test/support/pki/", import.meta.url));
const RATE = 50;
const COME_AGAIN = 2_000;
const [first = "6000", second = "20", third] = process.argv.slice(2);

function part(role, ...numbers) {
  const child = fork(fileURLToPath(import.meta.url), [role, ...numbers.map(String)]);
  child.on("exit", (code) => {
    if (code !== null) throw new Error(`${role} ended with ${code}`);
  });
  return child;
}

async function direct() {
  const server = part("serve");
  const [port] = await once(server, "message");
  const hostile = part("besiege", port, Number(first));
  await once(hostile, "message");
  const honest = part("measure", port, Number(second));
  const [figures] = await once(honest, "message");
  console.log(figures);
  for (const each of [server, hostile, honest]) each.kill();
}

async function serve() {
  await run(async () => {
    const tls = { cert: `${PKI}server.pem`, key: `${PKI}server-key.pem` };
    const { port } = await startServer({ host: "127.0.0.1", port: 0, tls }, class extends Connection {});
    process.send(port);
  });
}

/** The beginning of a hello that is 512 bytes long. */
const HALF = Buffer.concat([Buffer.from([22, 3, 1, 2, 4, 1, 0, 2, 0, 3, 3]), Buffer.alloc(200, 7)]);
const GARBAGE = Buffer.from(Array.from({ length: 300 }, (_, n) => (n * 167 + 13) & 0xff));

async function besiege(port, count) {
  const said = [undefined, GARBAGE, HALF];
  const come = (n) => {
    const socket = connect(port, "127.0.0.1", () => {
      const bytes = said[n % said.length];
      if (bytes !== undefined) socket.write(bytes);
    });
    socket.on("error", () => {}).on("close", () => setTimeout(come, COME_AGAIN, n));
    socket.resume();
  };
  for (let n = 0; n < count; n++) {
    come(n);
    if (n % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  process.send("there");
  await new Promise(() => {});
}

async function measure(port, seconds) {
  const times = [];
  let failed = 0;
  const shake = () => {
    const begun = performance.now();
    const socket = secure({ port, host: "127.0.0.1", rejectUnauthorized: false, session: undefined }, () => {
      times.push(performance.now() - begun);
      socket.destroy();
    });
    socket.on("error", () => failed++);
  };
  const timer = setInterval(shake, 1_000 / RATE);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  clearInterval(timer);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  times.sort((a, b) => a - b);
  const at = (share) => Number((times[Math.floor((times.length - 1) * share)] ?? Number.NaN).toFixed(2));
  process.send({ handshakes: times.length, failed, p50: at(0.5), p99: at(0.99), worst: at(1) });
}

const roles = { serve, besiege, measure };
await (roles[first] ?? direct)(Number(second), Number(third));
