import { Child } from "../../support/child.js";
import { source } from "../../support/paths.js";
import type { Trial } from "../../support/trial.js";
import { pending, within } from "../../support/wait.js";
import { type Account, Agent, type Script } from "./agent.js";

/** Which library an end of the connection is on. */
export type Side = "ruby" | "ours";

/** Server and client, in every mixture. */
export const PAIRINGS: readonly { server: Side; client: Side }[] = [
  { server: "ruby", client: "ruby" },
  { server: "ruby", client: "ours" },
  { server: "ours", client: "ruby" },
  { server: "ours", client: "ours" },
];

export interface Scenario {
  server: Script;
  client: Script;
}

export interface Outcome {
  server: Account;
  client: Account;
}

/** An end that has begun: a server knows its port. */
interface End extends AsyncDisposable {
  readonly port: number;
  account(): Promise<Account>;
}

/** Runs agent.rb; without Ruby or its EventMachine the test fails with what to install. */
export function ruby(script: string, ...args: string[]): Child {
  return new Child("ruby", [source(`peers/ruby/${script}`), ...args]);
}

/** Plays a scenario with these two ends and tells what both saw. */
export async function play(trial: Trial, { server, client }: (typeof PAIRINGS)[number], scenario: Scenario) {
  await using served = await (server === "ruby" ? rubyServer : ourServer)(trial, scenario.server);
  await using dialled = await (client === "ruby" ? rubyClient : ourClient)(trial, served.port, scenario.client);
  const outcome: Outcome = { server: await served.account(), client: await dialled.account() };
  return outcome;
}

/** What one end sees of a port that it finds as it is. */
export async function playClient(trial: Trial, client: Side, port: number, script: Script): Promise<Account> {
  await using dialled = await (client === "ruby" ? rubyClient : ourClient)(trial, port, script);
  return await dialled.account();
}

export async function startServer(trial: Trial, server: Side, script: Script): Promise<End> {
  return (server === "ruby" ? rubyServer : ourServer)(trial, script);
}

async function rubyServer(_trial: Trial, script: Script): Promise<End> {
  const child = ruby("agent.rb", "server", JSON.stringify(script));
  const { port } = await child.json<{ port: number }>();
  return endOf(child, port);
}

async function rubyClient(_trial: Trial, port: number, script: Script): Promise<End> {
  return endOf(ruby("agent.rb", "client", String(port), JSON.stringify(script)), port);
}

function endOf(child: Child, port: number): End {
  return {
    port,
    account: async () => {
      const { log, bytes, sha256, reason } = await child.json<Account>();
      return { log, bytes, sha256, reason };
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

async function ourServer(trial: Trial, script: Script): Promise<End> {
  const ended = pending<Account>();
  const listener = await trial.reactor.startServer(
    { host: "127.0.0.1", port: 0 },
    Agent,
    script,
    ({ account }: Agent) => ended.resolve(account),
  );
  return {
    port: listener.port as number,
    account: () => within(ended.promise, "our server's account"),
    [Symbol.asyncDispose]: () => listener.close(),
  };
}

async function ourClient(trial: Trial, port: number, script: Script): Promise<End> {
  const ended = pending<Account>();
  const agent = trial.reactor.connect({ host: "127.0.0.1", port }, Agent, script, ({ account }: Agent) =>
    ended.resolve(account),
  );
  agent.account.log.push("connect returned");
  return {
    port,
    account: () => within(ended.promise, "our client's account"),
    [Symbol.asyncDispose]: async () => agent.closeConnection(),
  };
}
