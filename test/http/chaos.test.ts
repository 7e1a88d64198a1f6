import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectNet } from "node:net";
import { test } from "node:test";
import { Reactor } from "eventmachine";
import { HttpConnection, type HttpRequest, type HttpResponse } from "eventmachine/http";
import { Random } from "../support/random.js";
import { within } from "../support/wait.js";

const CONNECTIONS = 400;
const seed = Number(process.env.EVENTMACHINE_SEED ?? Date.now() % 2 ** 31);

/** Answers in every way there is, by what the target asks for. */
class Application extends HttpConnection {
  static ends = 0;
  static begun = 0;

  override postInit(): void {
    Application.begun++;
  }

  override async receiveRequest(request: HttpRequest, response: HttpResponse): Promise<unknown> {
    request.signal.addEventListener("abort", () => {});
    switch (request.target) {
      case "/throw":
        throw new Error("a handler that fails");
      case "/late":
        await new Promise((resolve) => setTimeout(resolve, 3));
        return response.send(200, {}, "late");
      case "/read":
        return response.send(200, {}, await request.bytes());
      case "/stream":
        response.writeHead(200);
        for (let piece = 0; piece < 20; piece++) {
          if (!response.write(Buffer.alloc(5_000, "s")) && !(await response.drained())) return undefined;
        }
        return response.end();
      case "/pieces":
        for await (const piece of request) if (piece.length > 40_000) break;
        return response.send(200);
      case "/upgrade":
        if (!request.wantsUpgrade) return response.send(400);
        response.upgrade({ upgrade: "x" });
        return this.resume();
      case "/close":
        return this.closeConnection();
      case "/abort":
        return this.abort();
      case "/pause":
        this.pause();
        setTimeout(() => {
          if (this.state === "open") this.resume();
        }, 2);
        return response.send(200);
      default:
        return response.send(200, {}, "fine");
    }
  }

  /** After an upgrade. */
  override receiveData(): void {
    this.closeConnectionAfterWriting();
  }

  override onError(): boolean {
    return true;
  }

  override unbind(): void {
    Application.ends++;
  }
}

function below(random: Random, bound: number): number {
  return random.between(0, bound - 1);
}

const TARGETS = ["/", "/throw", "/late", "/read", "/stream", "/pieces", "/upgrade", "/close", "/abort", "/pause"];

function message(random: Random): string {
  const target = TARGETS[below(random, TARGETS.length)] as string;
  const fields = target === "/upgrade" ? "Connection: Upgrade\r\nUpgrade: x\r\n" : "";
  const body = "b".repeat(below(random, 3) === 0 ? below(random, 100_000) : 0);
  const framing =
    body === "" ? "" : below(random, 2) === 0 ? `Content-Length: ${body.length}\r\n` : "Transfer-Encoding: chunked\r\n";
  const content = framing.startsWith("T") ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body;
  let text = `${body === "" ? "GET" : "POST"} ${target} HTTP/1.1\r\nHost: a\r\n${fields}${framing}\r\n${content}`;
  if (below(random, 20) === 0) {
    const at = below(random, text.length);
    text = text.slice(0, at) + String.fromCharCode(below(random, 256)) + text.slice(at + 1);
  }
  return text;
}

/** Says several requests in pieces, reads or not, and goes at some point. */
async function client(port: number, random: Random): Promise<void> {
  const socket = connectNet({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await once(socket, "connect").catch(() => {});
  if (below(random, 4) > 0) socket.resume();
  const text = Array.from({ length: 1 + below(random, 6) }, () => message(random)).join("");
  const most = below(random, 5) === 0 ? below(random, text.length) : text.length;
  for (let at = 0; at < most && !socket.destroyed; ) {
    const to = Math.min(most, at + 1 + below(random, text.length < 2_000 ? 50 : 50_000));
    socket.write(text.slice(at, to), "latin1");
    at = to;
    if (below(random, 8) === 0) await new Promise((resolve) => setTimeout(resolve, below(random, 4)));
  }
  const end = below(random, 4);
  if (end === 0) socket.resetAndDestroy();
  else if (end === 1) socket.destroy();
  else {
    socket.resume();
    if (end === 2) socket.end();
    setTimeout(() => socket.destroy(), 20);
  }
  await closed;
}

for (const engine of ["native", "portable"] as const) {
  test(`whatever its clients do, the server goes on, and nothing is left of them (${engine}, seed ${seed})`, async () => {
    const random = new Random(seed);
    const reactor = new Reactor({ engine });
    const errors: unknown[] = [];
    Application.begun = Application.ends = 0;
    reactor.onError((error) => errors.push(error));
    await within(
      reactor.run(async () => {
        const server = await reactor.startServer({ host: "127.0.0.1", port: 0, lingerTimeout: 200 }, Application, {
          keepAliveTimeout: 100,
          headerTimeout: 500,
        });
        for (let done = 0; done < CONNECTIONS; done += 40) {
          await Promise.all(Array.from({ length: 40 }, () => client(server.port, random)));
          const answer = await fetch(`http://127.0.0.1:${server.port}/`, { headers: { connection: "close" } });
          assert.equal(await answer.text(), "fine");
        }
        const { aborted } = await reactor.drain(20_000);
        assert.equal(aborted, 0);
        assert.equal(reactor.connectionCount, 0);
        reactor.stop();
      }),
      "all of them are gone",
    ).finally(() => reactor.stop());
    assert.deepEqual(errors, []);
    assert.equal(Application.ends, Application.begun);
    assert.equal(reactor.timerCount, 0);
  });
}
