import assert from "node:assert/strict";
import { after, before } from "node:test";
import pg from "pg";
import postgres from "postgres";
import { onEveryEngine } from "../examples/example.js";
import { startUnlessMissing } from "../support/programs.js";
import { type Carrier, onEveryCarrier, sameAsNodeNet, sleep } from "./carriers.js";
import { endings, Gate, type Side } from "./gate.js";
import { startPostgres, type TestServer } from "./servers/servers.js";

let server: TestServer & { readonly user: string };
before(async () => {
  server = await startUnlessMissing(startPostgres);
});
after(() => server?.stop());

const identity = () => ({ user: server.user, database: "postgres" });
const trusted = () => ({ ca: server.ca, servername: "localhost" });

function pgOver(carrier: Carrier, port: number, secure = false): pg.Client {
  return new pg.Client({
    ...identity(),
    host: "localhost",
    port,
    // pg connects its stream itself: one of node:net's is its own affair, a bridge's is connected already or will be.
    ...(carrier.isBridge ? { stream: () => carrier.dial(port) } : {}),
    ssl: secure ? trusted() : false,
  });
}

function postgresOver(carrier: Carrier, port: number, secure = false): postgres.Sql {
  return postgres({
    ...identity(),
    host: "localhost",
    port,
    socket: () => carrier.dial(port),
    ssl: secure ? trusted() : false,
    max: 2,
    onnotice: () => {},
  } as postgres.Options<Record<string, never>>);
}

onEveryCarrier("pg", ({ test }) => {
  for (const secure of [false, true]) {
    test(`a session${secure ? " over TLS" : ""}`, async (carrier) => {
      const client = pgOver(carrier, server.port, secure);
      await client.connect();
      const { rows } = await client.query(
        "SELECT $1::text AS said, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        ["Grüße"],
      );
      assert.deepEqual(rows, [{ said: "Grüße", ssl: secure }]);
      const large = "0123456789".repeat(300_000);
      const answer = await client.query("SELECT $1::text AS large, length($1::text) AS length", [large]);
      assert.equal(answer.rows[0].large, large);
      const many = await client.query("SELECT n FROM generate_series(1, 50000) AS n");
      assert.equal(many.rows.length, 50_000);
      await assert.rejects(client.query("SELECT nothing"), { code: "42703" });
      await client.query("LISTEN news");
      const notified = new Promise((resolve) => client.once("notification", ({ payload }) => resolve(payload)));
      await client.query("NOTIFY news, 'it works'");
      assert.equal(await notified, "it works");
      await client.end();
    });
  }
});

onEveryCarrier("postgres.js", ({ test }) => {
  for (const secure of [false, true]) {
    test(`a session${secure ? " over TLS" : ""}`, async (carrier) => {
      const sql = postgresOver(carrier, server.port, secure);
      const [row] = await sql`SELECT ${"Grüße"}::text AS said, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`;
      assert.deepEqual({ ...row }, { said: "Grüße", ssl: secure });
      const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => sql`SELECT ${n}::int AS n`));
      assert.deepEqual(
        answers.map(([answer]) => answer?.n),
        Array.from({ length: 200 }, (_, n) => n),
      );
      const large = "0123456789".repeat(300_000);
      const [answer] = await sql`SELECT ${large}::text AS large`;
      assert.equal(answer?.large, large);
      let seen = 0;
      await sql`SELECT n FROM generate_series(1, 20000) AS n`.cursor(1_000, (rows) => {
        seen += rows.length;
      });
      assert.equal(seen, 20_000);
      await assert.rejects(sql`SELECT nothing`, { code: "42703" });
      await sql.end();
    });
  }
});

for (const { how, secure, title } of endings) {
  sameAsNodeNet(`pg: ${title} under a query`, async (carrier, note) => {
    const gate = await Gate.to(server.port);
    const client = pgOver(carrier, gate.port, secure);
    // Under TLS pg listens to both streams: what the one under TLS fails with it hears of twice.
    const errors = new Set<string>();
    client.on("error", (error: NodeJS.ErrnoException) => errors.add(`${error.code} ${error.message}`));
    const ended = new Promise<void>((resolve) => client.once("end", () => resolve()));
    await client.connect();
    const query = client.query("SELECT pg_sleep(20)").catch((error: NodeJS.ErrnoException) => {
      note("query", error.code, error.message);
    });
    await sleep(50);
    await gate[how]();
    await query;
    await ended;
    note("errors", ...errors);
    await gate.close();
  });

  sameAsNodeNet(`postgres.js: ${title} under a query`, async (carrier, note) => {
    const gate = await Gate.to(server.port);
    const sql = postgresOver(carrier, gate.port, secure);
    await sql`SELECT 1`;
    const query = sql`SELECT pg_sleep(20)`.catch((error: NodeJS.ErrnoException) => note("query", error.code));
    await sleep(50);
    await gate[how]();
    await query;
    await sql.end({ timeout: 1 });
    await gate.close();
  });
}

sameAsNodeNet("pg: nobody listens", async (carrier, note) => {
  const gate = await Gate.to(server.port);
  const { port } = gate;
  await gate.close();
  const client = pgOver(carrier, port);
  await assert.rejects(client.connect(), (error: NodeJS.ErrnoException) => {
    note(error.code, error.syscall, error.message.replace(String(port), "PORT"));
    return true;
  });
});

const LARGE = 20_000_000;

/** The questions and the answers of a slow session: one has to wait for the other side, whichever it is. */
async function slowly(gate: Gate, side: Side, ask: (text: string) => Promise<{ given: number; got: number }>) {
  await ask("quick");
  gate.stall(side);
  const answer = ask(side === "client" ? "x".repeat(LARGE) : "");
  await sleep(100);
  gate.flow(side);
  const { given, got } = await answer;
  assert.deepEqual([given, got], side === "client" ? [LARGE, LARGE] : [0, LARGE]);
}

for (const side of ["client", "server"] as const) {
  const what = side === "client" ? "a query that the server does not read" : "an answer that does not come";
  onEveryCarrier(`pg: ${what} for a while`, ({ test }) => {
    test("it is whole in the end", async (carrier) => {
      const gate = await Gate.to(server.port);
      const client = pgOver(carrier, gate.port);
      await client.connect();
      await slowly(gate, side, async (text) => {
        const { rows } = await client.query("SELECT length($1::text) AS given, repeat('x', $2) AS got", [text, LARGE]);
        return { given: rows[0].given, got: rows[0].got.length };
      });
      await client.end();
      await gate.close();
    });
  });

  onEveryCarrier(`postgres.js: ${what} for a while`, ({ test }) => {
    test("it is whole in the end", async (carrier) => {
      const gate = await Gate.to(server.port);
      const sql = postgresOver(carrier, gate.port);
      await slowly(gate, side, async (text) => {
        const [row] = await sql`SELECT length(${text}::text) AS given, repeat('x', ${LARGE}::int) AS got`;
        return { given: row?.given, got: row?.got.length };
      });
      await sql.end();
      await gate.close();
    });
  });
}

onEveryEngine("the example bridges/postgres", async ({ start }) => {
  const example = start("bridges/postgres", `127.0.0.1:${server.port}`, server.user);
  await example.ended();
  assert.deepEqual(example.output, ["hello from pg", "hello from postgres.js"]);
});
