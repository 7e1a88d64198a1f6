import { engineInfo } from "../index.js";
import { readOptions } from "./arguments.js";
import { packageVersion } from "./package_version.js";

/** `eventmachine info`: which engine serves here, why, and what it cannot do. */
export function info(args: string[]): void {
  const { json } = readOptions(args, { json: { type: "boolean", default: false } });
  const { engine, reason, lacks } = engineInfo();
  const facts = {
    eventmachine: packageVersion(),
    engine,
    why: reason ?? "the native core could be loaded",
    node: process.versions.node,
    platform: process.platform,
    arch: process.arch,
    openssl: process.versions.openssl,
  };
  if (json) {
    console.log(JSON.stringify({ ...facts, lacks }, undefined, 2));
    return;
  }
  for (const [name, value] of Object.entries(facts)) console.log(`${name.padEnd(13)} ${value}`);
  if (lacks.length === 0) {
    console.log("lacks         nothing");
    return;
  }
  console.log("lacks");
  for (const { capability, meaning } of lacks) console.log(`  ${capability.padEnd(17)} ${meaning}`);
}
