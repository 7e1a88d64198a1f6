import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { type CloseReason, Connection } from "eventmachine";

export type Action =
  | readonly ["send", string]
  | readonly ["sendSize", number]
  | readonly ["close"]
  | readonly ["closeAfterWriting"]
  | readonly ["startTls", "server" | "client", string]
  | readonly ["demandTls", string]
  | readonly ["pauseFor", number]
  | readonly ["inactivityTimeout", number]
  | readonly ["streamFile", string, boolean]
  | readonly ["sendFile", string];

/** What one end does, and when; `received` acts when so many bytes have come. The same as agent.rb reads. */
export interface Script {
  postInit?: readonly Action[];
  connectionCompleted?: readonly Action[];
  sslHandshakeCompleted?: readonly Action[];
  received?: Readonly<Record<number, readonly Action[]>>;
  unbind?: readonly Action[];
  /** A file for the bytes received. */
  keepIn?: string;
}

/** What an end saw. The reason is said as Ruby says it: an errno's name, or null. */
export interface Account {
  log: string[];
  bytes: number;
  sha256: string;
  reason: string | null;
}

/** The reason that EventMachine gives for this end; it had one, nil, for most of them. */
export function inRuby(reason: CloseReason): string | null {
  switch (reason.kind) {
    case "tls-error":
      return "EPROTO";
    case "connect-timeout":
    case "timeout":
      return "ETIMEDOUT";
    case "connect-refused":
    case "connect-unreachable":
    case "peer-reset":
    case "system-error":
      return reason.error.code;
    default:
      return null;
  }
}

/** The same as Agent.pattern. */
export function pattern(size: number): Buffer {
  const block = Buffer.from(Uint8Array.from({ length: 65_521 }, (_, at) => (at * 31 + (at >> 8)) & 255));
  return Buffer.alloc(size, block);
}

/** One end of a connection on our side: Agent in agent.rb, word for word. */
export class Agent extends Connection {
  readonly account: Account = { log: ["constructor"], bytes: 0, sha256: "", reason: null };
  readonly #script: Script;
  readonly #kept: Buffer[] = [];
  readonly #seen = createHash("sha256");
  readonly #ended: (agent: Agent) => void;

  constructor(script: Script, ended: (agent: Agent) => void) {
    super();
    this.#script = script;
    this.#ended = ended;
  }

  override postInit(): void {
    this.#note("postInit");
    this.#act(this.#script.postInit);
  }

  override connectionCompleted(): void {
    this.#note("connectionCompleted");
    this.#act(this.#script.connectionCompleted);
  }

  override sslHandshakeCompleted(): void {
    this.#note("sslHandshakeCompleted");
    this.#act(this.#script.sslHandshakeCompleted);
  }

  override receiveData(data: Buffer): void {
    this.#note(this.isPaused ? "receiveData while paused" : "receiveData");
    const before = this.account.bytes;
    this.account.bytes += data.length;
    this.#seen.update(data);
    if (this.#script.keepIn !== undefined) this.#kept.push(data);
    for (const [count, actions] of Object.entries(this.#script.received ?? {})) {
      if (before < Number(count) && this.account.bytes >= Number(count)) this.#act(actions);
    }
  }

  override unbind(reason: CloseReason): void {
    this.#note("unbind");
    this.#act(this.#script.unbind);
    this.account.reason = inRuby(reason);
    this.account.sha256 = this.#seen.digest("hex");
    if (this.#script.keepIn !== undefined) writeFileSync(this.#script.keepIn, Buffer.concat(this.#kept));
    this.#ended(this);
  }

  /** Runs of receiveData count as one: how the bytes are cut is the network's affair. */
  #note(what: string): void {
    const { log } = this.account;
    if (what !== "receiveData" || log.at(-1) !== what) log.push(what);
  }

  #act(actions: readonly Action[] = []): void {
    for (const action of actions) this.#do(action);
  }

  #do(action: Action): void {
    switch (action[0]) {
      case "send":
        this.sendData(action[1]);
        break;
      case "sendSize":
        this.sendData(pattern(action[1]));
        break;
      case "close":
        this.closeConnection();
        this.#note("close returned");
        break;
      case "closeAfterWriting":
        this.closeConnectionAfterWriting();
        this.#note("close returned");
        break;
      case "startTls": {
        const [, role, folder] = action;
        if (role === "client") this.startTls({ ca: `${folder}ca.pem`, serverName: "server.test" });
        else this.startTls({ cert: `${folder}server-rsa.pem`, key: `${folder}server-rsa-key.pem` });
        break;
      }
      case "demandTls": {
        const [, folder] = action;
        const identity = { cert: `${folder}server-rsa.pem`, key: `${folder}server-rsa-key.pem` };
        this.startTls({ ...identity, ca: `${folder}ca.pem`, requireCertificate: true });
        break;
      }
      case "pauseFor":
        this.pause();
        setTimeout(() => {
          this.#note("resume");
          this.resume();
        }, action[1]);
        break;
      case "inactivityTimeout":
        this.commInactivityTimeout = action[1];
        break;
      case "streamFile":
        void this.streamFileData(action[1], { httpChunks: action[2] }).then(() => this.closeConnectionAfterWriting());
        break;
      case "sendFile":
        void this.sendFileData(action[1]);
        this.closeConnectionAfterWriting();
        break;
    }
  }
}
