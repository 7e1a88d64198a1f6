// PostgreSQL on connections of the reactor, with pg and with postgres.js.
//   node .build/examples/bridges/postgres.js HOST:PORT USER
import { connect, parseAddress, run, stop, toDuplex } from "eventmachine";
import pg from "pg";
import postgres from "postgres";

const { host = "127.0.0.1", port } = parseAddress(process.argv[2] ?? ":5432") as { host?: string; port: number };
const who = { user: process.argv[3] ?? "postgres", database: "postgres" };
const stream = () => toDuplex(connect({ host, port }));

await run(async () => {
  const client = new pg.Client({ ...who, host, port, stream });
  await client.connect();
  const { rows } = await client.query("SELECT $1::text AS greeting", ["hello from pg"]);
  console.log(rows[0].greeting);
  await client.end();

  // The option is postgres.js's own, and its types leave it out.
  const options = { ...who, host, port, socket: stream };
  const sql = postgres(options as postgres.Options<Record<string, never>>);
  const [row] = await sql`SELECT ${"hello from postgres.js"}::text AS greeting`;
  console.log(row?.greeting);
  await sql.end();
  stop();
});
