import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { TlsContext, type TlsOptions } from "eventmachine";

/** The folder of the test certificates; `make_pki.sh` beside it says what each is. */
const FOLDER = fileURLToPath(new URL("../../../test/support/pki/", import.meta.url));

/** The path of one of its files. */
export function pkiPath(name: string): string {
  return `${FOLDER}${name}`;
}

export function pkiFile(name: string): Buffer {
  return readFileSync(pkiPath(name));
}

/** The certificate of that name and its key. */
export function identity(name: string): { cert: string; key: string } {
  return { cert: pkiPath(`${name}.pem`), key: pkiPath(`${name}-key.pem`) };
}

export const AUTHORITY = pkiPath("ca.pem");

/** A context that shows the certificate of that name. */
export function serverContext(options: TlsOptions = {}, name = "server"): TlsContext {
  return new TlsContext({ ...identity(name), ...options });
}

/** A context that trusts the test authority. */
export function clientContext(options: TlsOptions = {}): TlsContext {
  return new TlsContext({ ca: AUTHORITY, ...options });
}
