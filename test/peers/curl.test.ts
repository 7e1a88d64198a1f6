import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { Connection, type Reactor } from "eventmachine";
import { pattern } from "../support/bytes.js";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";

const BODY = pattern(8 * 1024 * 1024);

/** HTTP as far as curl asks for it, by hand: requests with a content-length, kept alive or not. */
class HandmadeHttp extends Connection {
  readonly #file: string;
  #input: Buffer = Buffer.alloc(0);

  constructor(file: string) {
    super();
    this.#file = file;
  }

  override receiveData(data: Buffer): void {
    this.#input = Buffer.concat([this.#input, data]);
    for (;;) {
      const end = this.#input.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = this.#input.toString("latin1", 0, end);
      const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
      if (this.#input.length < end + 4 + length) {
        if (/^expect: 100-continue$/im.test(head) && this.#input.length === end + 4) {
          this.sendData("HTTP/1.1 100 Continue\r\n\r\n");
        }
        return;
      }
      const body = this.#input.subarray(end + 4, end + 4 + length);
      this.#input = this.#input.subarray(end + 4 + length);
      this.#answer(head.split(" ")[1] ?? "", body);
    }
  }

  #answer(path: string, body: Buffer): void {
    switch (path) {
      case "/hello":
        this.sendData("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n");
        break;
      case "/until-close":
        this.sendData("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        this.sendData(BODY);
        this.closeConnectionAfterWriting();
        break;
      case "/chunked-file":
        this.sendData("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        void this.streamFileData(this.#file, { httpChunks: true });
        break;
      case "/digest": {
        const digest = createHash("sha256").update(body).digest("hex");
        this.sendData(`HTTP/1.1 200 OK\r\ncontent-length: ${digest.length}\r\n\r\n${digest}`);
        break;
      }
      default:
        this.sendData("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    }
  }
}

function curl(...args: string[]): Child {
  return new Child("curl", ["--silent", "--show-error", "--max-time", "30", ...args]);
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

onEveryEngine("curl", (engine) => {
  async function base(reactor: Reactor, file: string): Promise<string> {
    const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, HandmadeHttp, file);
    return `http://127.0.0.1:${port}`;
  }

  engine.rule("several requests on one connection that is kept alive", async (trial) => {
    const url = await base(trial.reactor, "");
    const before = trial.reactor.stats().accepted;
    await using client = curl(`${url}/hello`, `${url}/hello`, `${url}/hello`, "--write-out", "%{http_code}\n");
    assert.deepEqual(await client.rest(), ["hello", "200", "hello", "200", "hello", "200"]);
    assert.equal(trial.reactor.stats().accepted - before, 1);
    await trial.until(() => trial.reactor.connectionCount === 0, "curl is gone");
  });

  engine.rule("8 MiB up to the close", async (trial) => {
    const url = await base(trial.reactor, "");
    const into = trial.path("body");
    await using client = curl(`${url}/until-close`, "--output", into);
    assert.deepEqual(await client.ended(), { code: 0, signal: null }, client.stderr);
    await using sum = new Child("sha256sum", [into]);
    assert.equal((await sum.line()).split(" ")[0], digestOf(BODY));
    await trial.until(() => trial.reactor.connectionCount === 0, "curl is gone");
  });

  engine.rule("a file streamed as a chunk, from inside the kernel where the engine can", async (trial) => {
    const file = trial.path("file");
    writeFileSync(file, BODY);
    const url = await base(trial.reactor, file);
    const into = trial.path("body");
    await using client = curl(`${url}/chunked-file`, "--output", into);
    assert.deepEqual(await client.ended(), { code: 0, signal: null }, client.stderr);
    await using sum = new Child("sha256sum", [into]);
    assert.equal((await sum.line()).split(" ")[0], digestOf(BODY));
    await trial.until(() => trial.reactor.connectionCount === 0, "curl is gone");
  });

  engine.rule("a body of 8 MiB posted, after the 100 it waits for", async (trial) => {
    const file = trial.path("file");
    writeFileSync(file, BODY);
    const url = await base(trial.reactor, file);
    await using client = curl(`${url}/digest`, "--data-binary", `@${file}`, "--header", "expect: 100-continue");
    assert.deepEqual(await client.rest(), [digestOf(BODY)]);
    await trial.until(() => trial.reactor.connectionCount === 0, "curl is gone");
  });

  engine.rule("over a Unix socket", async (trial) => {
    const path = trial.path();
    await trial.reactor.startServer({ path }, HandmadeHttp, "");
    await using client = curl("--unix-socket", path, "http://localhost/hello");
    assert.deepEqual(await client.rest(), ["hello"]);
    await trial.until(() => trial.reactor.connectionCount === 0, "curl is gone");
  });
});
