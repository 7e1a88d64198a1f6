import * as tls from "node:tls";
import { ArgumentError, TlsError } from "../base/errors.js";
import type { TlsTrust } from "../engine/tls.js";
import { readCertificates } from "./identity.js";
import { readFile, readMaterial, type TlsMaterial } from "./material.js";

/**
 * Whom to trust: "default" is what Node trusts in this process (its own list, with NODE_EXTRA_CA_CERTS, --use-openssl-ca and
 * --use-system-ca honoured), "system" the operating system's list, everything else certificates in PEM. A list adds them up.
 */
export type TlsAuthorities = "default" | "system" | TlsMaterial | readonly ("default" | "system" | TlsMaterial)[];

/** From Node 22.15 on. */
type ReadAuthorities = ((which: "default" | "system" | "extra") => string[]) | undefined;

const readAuthorities = (tls as unknown as { getCACertificates?: ReadAuthorities }).getCACertificates;

/** Trusts nobody: for servers that ask no client for a certificate. */
export const NO_TRUST: TlsTrust = { certificates: [], openSslDefaults: false, isNodeDefault: false };

export function readTrust(authorities: unknown): TlsTrust {
  if (authorities === undefined || authorities === "default") return defaultTrust();
  const list: unknown[] = Array.isArray(authorities) ? authorities : [authorities];
  if (list.length === 0) throw new ArgumentError("ca must name at least one certificate authority");
  const certificates: (string | Buffer)[] = [];
  let openSslDefaults = false;
  for (const [index, each] of list.entries()) {
    const name = Array.isArray(authorities) ? `ca[${index}]` : "ca";
    if (each === "default") {
      const trust = defaultTrust();
      certificates.push(...trust.certificates);
      openSslDefaults ||= trust.openSslDefaults;
    } else if (each === "system") {
      certificates.push(...systemAuthorities());
    } else {
      certificates.push(...readCertificates(readMaterial(each, name), name).map(String));
    }
  }
  return { certificates, openSslDefaults, isNodeDefault: false };
}

let known: { readonly source: readonly string[]; readonly trust: TlsTrust } | undefined;

/** The same object as long as Node's own list is the same, so that an engine parses it once. */
export function defaultTrust(): TlsTrust {
  const source = readAuthorities === undefined ? tls.rootCertificates : readAuthorities("default");
  if (known?.source === source) return known.trust;
  const openSslDefaults = hasFlag("--use-openssl-ca");
  const extra = readAuthorities === undefined || openSslDefaults ? extraAuthorities() : [];
  const certificates = openSslDefaults ? extra : [...source, ...extra];
  known = { source, trust: { certificates, openSslDefaults, isNodeDefault: true } };
  return known.trust;
}

function systemAuthorities(): string[] {
  if (readAuthorities !== undefined) return readAuthorities("system");
  throw new TlsError(
    "ERR_EM_TLS_SYSTEM_CA",
    `ca "system" needs Node.js 22.15 or newer, this is ${process.versions.node}: name the file, such as ` +
      "/etc/ssl/certs/ca-certificates.crt",
  );
}

function extraAuthorities(): string[] {
  const path = process.env.NODE_EXTRA_CA_CERTS;
  if (path === undefined || path === "") return [];
  try {
    return readCertificates(readFile(path, "NODE_EXTRA_CA_CERTS"), "NODE_EXTRA_CA_CERTS").map(String);
  } catch {
    return []; // Node has warned of it when the process started, and does without.
  }
}

function hasFlag(flag: string): boolean {
  return process.execArgv.includes(flag) || (process.env.NODE_OPTIONS ?? "").split(/\s+/).includes(flag);
}
