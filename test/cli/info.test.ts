import assert from "node:assert/strict";
import { test } from "node:test";
import { CAPABILITIES, engineInfo } from "eventmachine";
import { eventmachine } from "./command.js";

async function infoOutput(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  await using program = eventmachine(["info", ...args], env);
  assert.equal(await program.exit(), 0, program.said());
  assert.equal(program.stderr, "");
  return program.stdout;
}

for (const name of ["auto", "portable"] as const) {
  const env = { EVENTMACHINE_ENGINE: name };

  test(`info --json on ${name} agrees with engineInfo`, async () => {
    const { eventmachine: version, why, ...facts } = JSON.parse(await infoOutput(["--json"], env));
    const { engine, reason, lacks } = engineInfo(name);
    const { platform, arch } = process;
    const { node, openssl } = process.versions;
    assert.deepEqual(facts, { engine, lacks, node, platform, arch, openssl });
    assert.match(version, /^\d+\.\d+\.\d+/);
    if (reason === undefined) assert.equal(engine, "native");
    else if (name === "auto") assert.equal(why, reason);
    assert.ok(why.length > 0);
  });

  test(`info on ${name} names the engine, why, and each thing it lacks`, async () => {
    const text = await infoOutput([], env);
    const { engine, lacks } = engineInfo(name);
    assert.match(text, new RegExp(`^engine +${engine}$`, "m"));
    assert.match(text, /^why +\S/m);
    assert.match(text, new RegExp(`^node +${process.versions.node}$`, "m"));
    for (const { capability, meaning } of lacks) assert.ok(text.includes(meaning), `${capability} is explained`);
  });
}

test("the portable engine lacks something, and all of it is in the list of capabilities", () => {
  const { engine, lacks } = engineInfo("portable");
  assert.equal(engine, "portable");
  assert.ok(lacks.length > 0);
  for (const { capability, meaning } of lacks) assert.equal(CAPABILITIES[capability], meaning);
});
