import { pkiFile } from "../support/pki.js";

/** A certificate for localhost that signs itself, and its key, as node:tls takes them. */
export interface Identity {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export function makeIdentity(): Identity {
  return { cert: pkiFile("self.pem"), key: pkiFile("self-key.pem") };
}
