import assert from "node:assert/strict";
import { it } from "node:test";
import { Resolver } from "eventmachine";
import { checkComplete, type Member, nothing, outcome, size, sweep } from "../conformance/sweep.js";
import { a, NameServer, NXDOMAIN } from "../support/name_server.js";

const list = (value: unknown): boolean => Array.isArray(value);
const found: Member = { calls: [["www.test", {}]], gives: list };

const MEMBERS: Record<string, Member> = {
  resolve: { calls: [["www.test", { family: 4 }]], gives: list },
  resolve4: found,
  resolve6: found,
  resolveSrv: found,
  resolveService: found,
  resolveMx: found,
  resolveTxt: found,
  resolvePtr: found,
  resolveCaa: found,
  reverse: { calls: [["192.0.2.1", {}]], gives: list },
  nameservers: { sets: [["127.0.0.1"]], gives: list },
  hosts: { calls: [], gives: (value) => value instanceof Map },
  clear: { calls: [], gives: nothing },
  stats: { calls: [], gives: (value) => size((value as { hits: number }).hits) },
};

it("every member of a Resolver takes right arguments, and refuses wrong ones by typed errors", async () => {
  const server = await NameServer.start(({ type }) =>
    type === "A" ? { answers: [a("192.0.2.1")] } : { rcode: NXDOMAIN },
  );
  checkComplete(Resolver.prototype, MEMBERS, ["addresses", "knownAddresses"]);
  const faults: string[] = [];
  await sweep(MEMBERS, async (what, action, gives) => {
    const resolver = new Resolver({ nameservers: [server.address], hosts: false, timeout: 50, tries: 1 });
    const fault = await outcome(() => action(resolver as never), gives);
    if (fault !== undefined) faults.push(`${what} ${fault}`);
  });
  await server.stop();
  assert.deepEqual(faults, []);
});
