import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LAYOUT_HASH } from "../../../src/engine/native/layout.js";

const ASK = 'import { engineInfo } from "eventmachine"; console.log(JSON.stringify(engineInfo()));';
const RUN =
  'import { Reactor } from "eventmachine"; await new Reactor({ engine: "native" }).run((reactor) => reactor.stop());';

/** A process whose addon says of itself what a stale build would. */
function withAddon(text: string, script: string) {
  const folder = mkdtempSync(join(tmpdir(), "em-layout-"));
  const addon = join(folder, "addon.cjs");
  writeFileSync(addon, text);
  try {
    const args = ["--input-type=module", "-e", script];
    return spawnSync(process.execPath, args, { encoding: "utf8", env: { ...process.env, EVENTMACHINE_ADDON: addon } });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("an addon that was built from another layout is not used", () => {
  for (const text of [`exports.layout = ${LAYOUT_HASH + 1};`, "exports.torture = false;"]) {
    const { stdout, stderr } = withAddon(text, ASK);
    const info = JSON.parse(stdout) as { engine: string; reason: string };
    assert.equal(info.engine, "portable", stderr);
    assert.match(info.reason, /was built from another version \(npm rebuild eventmachine builds it anew\)/);
    const { status, stderr: said } = withAddon(text, RUN);
    assert.notEqual(status, 0);
    assert.match(said, /ERR_EM_ENGINE_UNAVAILABLE/);
  }
});

test("this build is of this layout", () => {
  const env = { ...process.env, EVENTMACHINE_ENGINE: "auto" };
  const info = JSON.parse(
    execFileSync(process.execPath, ["--input-type=module", "-e", ASK], { encoding: "utf8", env }),
  );
  assert.equal(info.engine, "native", info.reason);
});
