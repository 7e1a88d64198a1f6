import assert from "node:assert/strict";
import { onEveryEngine } from "../support/harness.js";
import { answers, responses, serveHttp } from "../support/http.js";

const HOST = "Host: example.com\r\n";
const get = (target: string) => `GET ${target} HTTP/1.1\r\n${HOST}\r\n`;
const hello = (_request: unknown, response: { send(status: number): void }) => response.send(200);

onEveryEngine("deadlines of HTTP", (engine) => {
  engine.ruleOnStreams("a head that is slow to come is 408, one that never begins is just the end", async (trial) => {
    const served = await serveHttp(trial, hello, { headerTimeout: 100, keepAliveTimeout: 60_000 });
    const begun = trial.now();
    const silent = served.ask("");
    const slow = served.ask("GET / HT");
    const trickling = served.ask("GET");
    const trickle = trial.reactor.addPeriodicTimer(20, () => trickling.sendData("T"));
    await trial.allUnbound();
    trickle.cancel();
    assert.ok(trial.now() - begun >= 100);
    assert.equal(silent.text, "");
    assert.equal(responses(slow.text)?.[0]?.status, 408);
    assert.equal(responses(trickling.text)?.[0]?.status, 408);
    await trial.until(
      () => served.connections.every(({ reasons }) => reasons.length === 1),
      "the server's sides have ended",
    );
    for (const { reasons, closeReason } of served.connections) {
      assert.deepEqual(reasons, ["timeout"]);
      assert.ok(closeReason?.kind === "timeout" && closeReason.deadline === "header");
    }
  });

  engine.rule("it counts from the first byte of a head where others came before", async (trial) => {
    const served = await serveHttp(trial, hello, { headerTimeout: 100, keepAliveTimeout: 60_000 });
    const client = served.ask(get("/"));
    await answers(trial, client, 1);
    await trial.sleep(150);
    client.sendData("GET / ");
    await trial.sleep(50);
    client.sendData(get("/").slice("GET / ".length));
    await answers(trial, client, 2);
    client.sendData("GET / ");
    await trial.allUnbound(client);
    assert.deepEqual(
      responses(client.text)?.map(({ status }) => status),
      [200, 200, 408],
    );
  });

  engine.rule("content that stands still is 408, and so is content that trickles", async (trial) => {
    const codes: string[] = [];
    const served = await serveHttp(
      trial,
      async (request, response) => {
        await request.bytes().catch((error) => codes.push(error.code));
        response.send(200);
      },
      { bodyTimeout: 150, minBodyRate: 1_000 },
    );
    const post = (length: number) => `POST / HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\n\r\n`;
    const still = served.ask(`${post(10)}hello`);
    const trickling = served.ask(post(1_000_000));
    const trickle = trial.reactor.addPeriodicTimer(20, () => trickling.sendData("x"));
    const steady = served.ask(post(20 * 100));
    const piece = "x".repeat(100);
    const flow = trial.reactor.addPeriodicTimer(20, () => steady.sendData(piece));
    await answers(trial, steady, 1);
    flow.cancel();
    await trial.allUnbound(still, trickling);
    trickle.cancel();
    assert.equal(responses(still.text)?.[0]?.status, 408);
    assert.equal(responses(trickling.text)?.[0]?.status, 408);
    assert.equal(responses(steady.text)?.[0]?.status, 200);
    assert.deepEqual(codes, ["ERR_EM_TIMEOUT", "ERR_EM_TIMEOUT"]);
    steady.closeConnection();
  });

  engine.rule("content that nobody reads is not late", async (trial) => {
    const served = await serveHttp(
      trial,
      async (request, response) => {
        await trial.sleep(300);
        response.send(200, {}, `${(await request.bytes()).length}`);
      },
      { bodyTimeout: 100 },
    );
    const client = served.ask(`POST / HTTP/1.1\r\n${HOST}Content-Length: 200000\r\n\r\n${"x".repeat(200_000)}`);
    const [seen] = await answers(trial, client, 1);
    assert.equal(seen?.body, "200000");
    client.closeConnection();
  });

  engine.ruleOnStreams(
    "a connection without a request ends a second after what was announced, with its FIN",
    async (trial) => {
      let answeredAt = Number.NaN;
      const served = await serveHttp(
        trial,
        (_request, response) => {
          answeredAt = trial.now();
          response.send(200);
        },
        { keepAliveTimeout: 100 },
      );
      const client = served.ask(get("/"));
      const [seen] = await answers(trial, client, 1);
      assert.equal(seen?.fields.get("keep-alive"), undefined, "less than a second is not announced");
      await trial.allUnbound(client);
      assert.equal(client.kind, "peer-closed");
      const took = client.unboundAt - answeredAt;
      // It counts from the turn that the answer was given in.
      assert.ok(took >= 1090 && took < 2000, `${took} ms`);
      await trial.until(() => served.connections[0]?.reasons.length === 1, "the server's side has ended");
      const reason = served.connections[0]?.closeReason;
      assert.ok(reason?.kind === "timeout" && reason.deadline === "keep-alive");
    },
  );

  engine.rule("a handler may take its time", async (trial) => {
    const served = await serveHttp(
      trial,
      async (_request, response) => {
        await trial.sleep(1500);
        response.send(200);
      },
      { keepAliveTimeout: 100, headerTimeout: 100, bodyTimeout: 100, responseTimeout: 100 },
    );
    const client = served.ask(get("/"));
    const [seen] = await answers(trial, client, 1);
    assert.equal(seen?.status, 200);
    client.closeConnection();
  });

  engine.ruleOnStreams("a peer that takes nothing of an answer is let go", async (trial) => {
    const served = await serveHttp(trial, (_request, response) => response.send(200, {}, Buffer.alloc(15_000_000)), {
      responseTimeout: 200,
    });
    const client = served.ask(get("/"));
    await trial.until(() => client.bytes > 0, "it has begun");
    client.pause();
    await trial.until(() => served.connections[0]?.reasons.length === 1, "the server's side has ended");
    const reason = served.connections[0]?.closeReason;
    assert.ok(reason?.kind === "timeout" && reason.deadline === "response", reason?.kind);
    client.resume();
    await trial.allUnbound(client);
  });

  engine.rule("the last request of those that a connection may have closes it", async (trial) => {
    const served = await serveHttp(trial, hello, { maxRequestsPerConnection: 2 });
    const client = served.ask(get("/1") + get("/2") + get("/3"));
    await trial.allUnbound(client);
    assert.deepEqual(
      responses(client.text)?.map(({ fields }) => fields.get("connection")),
      ["keep-alive", "close"],
    );
  });
});
