import { X509Certificate } from "node:crypto";
import * as tls from "node:tls";
import { isMainThread } from "node:worker_threads";
import { ArgumentError, TlsError } from "../base/errors.js";
import type { TlsTrust } from "../engine/tls.js";
import { readCertificates } from "./certificates.js";
import { readFile, readMaterial, type TlsMaterial } from "./material.js";
import { startedWith, startVariable } from "./process_start.js";

/**
 * Whom to trust: "default" is what Node trusts in this process (its own list, with NODE_EXTRA_CA_CERTS, --use-openssl-ca and
 * --use-system-ca honoured), "system" the operating system's list, everything else certificates in PEM. A list adds them up.
 */
export type TlsAuthorities = "default" | "system" | TlsMaterial | readonly ("default" | "system" | TlsMaterial)[];

/** From Node 22.15 on. */
type ReadAuthorities = ((which: "default" | "system" | "extra") => string[]) | undefined;

const readAuthorities = (tls as unknown as { getCACertificates?: ReadAuthorities }).getCACertificates;

const NODES_BLOCK = /^-----BEGIN ((?:X509 )?CERTIFICATE)-----[\s\S]+?^-----END \1-----/gm;

/** Trusts nobody: for servers that ask no client for a certificate. */
export const NO_TRUST: TlsTrust = { certificates: [], openSslDefaults: false, isNodeDefault: false };

export function readTrust(authorities: unknown): TlsTrust {
  if (authorities === undefined || authorities === "default") return defaultTrust();
  const list: unknown[] = Array.isArray(authorities) ? authorities : [authorities];
  if (list.length === 0) throw new ArgumentError("ca must name at least one certificate authority");
  const certificates: string[] = [];
  let addsDefault = false;
  for (const [index, each] of list.entries()) {
    const name = Array.isArray(authorities) ? `ca[${index}]` : "ca";
    if (each === "default") addsDefault = true;
    else if (each === "system") certificates.push(...systemAuthorities());
    else certificates.push(...readCertificates(readMaterial(each, name), name).map(String));
  }
  if (addsDefault) return withDefault(certificates);
  return { certificates, openSslDefaults: false, isNodeDefault: false };
}

/** A trust that holds Node's own list: what it adds to it, and what it has become with the list as it is now. */
interface Added {
  readonly certificates: readonly string[];
  base: TlsTrust;
  current: TlsTrust;
}

const added = new WeakMap<TlsTrust, Added>();

function withDefault(certificates: readonly string[]): TlsTrust {
  const base = defaultTrust();
  const trust = merged(base, certificates);
  added.set(trust, { certificates, base, current: trust });
  return trust;
}

function merged(base: TlsTrust, certificates: readonly string[]): TlsTrust {
  return { ...base, certificates: [...base.certificates, ...certificates], isNodeDefault: false };
}

/** The same trust with Node's own list as it is now; the same object while that has not changed. */
export function currentTrust(trust: TlsTrust): TlsTrust {
  if (trust.isNodeDefault) return defaultTrust();
  const found = added.get(trust);
  if (found === undefined) return trust;
  const base = defaultTrust();
  if (found.base !== base) {
    found.base = base;
    found.current = merged(base, found.certificates);
  }
  return found.current;
}

const numbers = new WeakMap<TlsTrust, number>();
let lastNumber = 0;

/** A number of this trust's own: what was verified under another one is not resumed. */
export function trustNumber(trust: TlsTrust): number {
  let number = numbers.get(trust);
  if (number === undefined) {
    number = ++lastNumber;
    numbers.set(trust, number);
  }
  return number;
}

let known: { readonly source: readonly string[]; readonly trust: TlsTrust } | undefined;

/** The same object as long as Node's own list is the same, so that an engine parses it once. */
export function defaultTrust(): TlsTrust {
  const source = readAuthorities === undefined ? tls.rootCertificates : readAuthorities("default");
  if (known?.source === source) return known.trust;
  known = { source, trust: { ...nodeTrust(source, known === undefined), isNodeDefault: true } };
  return known.trust;
}

/** What Node trusts, given its list. A list that somebody has set (tls.setDefaultCACertificates, from Node 22.19 on) is all there is. */
function nodeTrust(source: readonly string[], isFirst: boolean): Pick<TlsTrust, "certificates" | "openSslDefaults"> {
  const openSslDefaults = startedWith("use-openssl-ca");
  if (readAuthorities === undefined) {
    const extra = extraAuthorities();
    return { certificates: openSslDefaults ? extra : [...source, ...extra], openSslDefaults };
  }
  if (!isFirst) return { certificates: source, openSslDefaults: false };
  // Node leaves the extra ones out of its list in a worker whose environment does not name them, and trusts them all the same.
  const extra = readAuthorities("extra");
  if (openSslDefaults) {
    const isOnlyExtra = source.length === 0 || isSame(source, extra);
    return isOnlyExtra ? { certificates: extra, openSslDefaults } : { certificates: source, openSslDefaults: false };
  }
  const isNodesOwn = isSame(source.slice(0, tls.rootCertificates.length), tls.rootCertificates);
  const isLeftOut = isNodesOwn && !isMainThread && (process.env.NODE_EXTRA_CA_CERTS ?? "") === "";
  return { certificates: isLeftOut ? [...source, ...extra] : source, openSslDefaults };
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((each, index) => each === other[index]);
}

function systemAuthorities(): string[] {
  if (readAuthorities !== undefined) return readAuthorities("system");
  throw new TlsError(
    "ERR_EM_TLS_SYSTEM_CA",
    `ca "system" needs Node.js 22.15 or newer, this is ${process.versions.node}: name the file, such as ` +
      "/etc/ssl/certs/ca-certificates.crt",
  );
}

/** What Node reads of its own file: until the first block that is damaged; of that it has warned when the process started. */
function extraAuthorities(): string[] {
  const path = startVariable("NODE_EXTRA_CA_CERTS");
  if (path === undefined || path === "") return [];
  const read: string[] = [];
  try {
    const text = readFile(path, "NODE_EXTRA_CA_CERTS").toString("latin1");
    for (const [block] of text.matchAll(NODES_BLOCK)) read.push(String(new X509Certificate(block)));
  } catch {
    // What was read until then is what Node trusts.
  }
  return read;
}

// An empty list may be Node's under --use-openssl-ca, or set by the program; and so may be its own list in a worker that was
// given no NODE_EXTRA_CA_CERTS. They are told apart by what the list was before a program could set it.
if (
  readAuthorities !== undefined &&
  (startedWith("use-openssl-ca") || (!isMainThread && (startVariable("NODE_EXTRA_CA_CERTS") ?? "") !== ""))
) {
  defaultTrust();
}
