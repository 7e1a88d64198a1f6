import type { CloseReason } from "eventmachine";
import { type Ledger, SoakPeer } from "./peer.js";
import { decodePlan, HEAD_SIZE, isOrderly, type Plan } from "./plan.js";
import type { Random } from "./random.js";

/** What a server's connection may end with, by the plan's ending. */
const EXPECTED: Record<Plan["ending"], readonly CloseReason["kind"][]> = {
  "client-closes": ["peer-closed"],
  "server-finishes": ["local-close"],
  "client-finishes": ["peer-closed"],
  "client-half-closes": ["local-close"],
  "server-sends-file": ["local-close"],
  "client-aborts": ["peer-reset", "peer-closed"],
  "client-drops": ["peer-reset", "peer-closed"],
  "server-aborts": ["local-abort"],
  "server-drops": ["local-close"],
};

/** The accepting end: reads the plan, then acts its part in it. */
export class SoakServer extends SoakPeer {
  readonly #file: string;
  #head = Buffer.alloc(0);
  #plan: Plan | undefined;
  #ended = false;

  constructor(ledger: Ledger, random: Random, file: string) {
    super(ledger, random);
    this.#file = file;
    ledger.connections++;
  }

  override receiveData(data: Buffer): void {
    if (this.#plan !== undefined) {
      this.#body(this.#plan, data);
      return;
    }
    this.#head = Buffer.concat([this.#head, data]);
    if (this.#head.length < HEAD_SIZE) return;
    const plan = decodePlan(this.#head);
    const body = this.#head.subarray(HEAD_SIZE);
    this.#head = Buffer.alloc(0);
    this.#plan = plan;
    const { ending } = plan;
    this.ledger.endings[ending] = (this.ledger.endings[ending] ?? 0) + 1;
    // Everybody but who has to wait for the client's last byte answers at once.
    if (ending === "client-closes" || ending === "client-aborts" || ending === "client-drops") {
      this.produce(plan.down, () => {});
    }
    this.#body(plan, body);
  }

  #body(plan: Plan, data: Buffer): void {
    if (data.length > 0) this.take(data);
    if (this.state !== "open") return;
    if (plan.ending === "server-aborts" && this.taken >= plan.cutAt) this.abort();
    else if (plan.ending === "server-drops" && this.taken >= plan.cutAt) this.closeConnection();
    else if (this.taken === plan.up) this.#haveAll(plan);
  }

  #haveAll(plan: Plan): void {
    if (plan.ending === "server-finishes") {
      this.produce(plan.down, () => this.closeConnectionAfterWriting());
    } else if (plan.ending === "server-sends-file") {
      this.sendFileData(this.#file).then(
        () => this.closeConnectionAfterWriting(),
        (error: Error) => this.ledger.wrong(`${this.describe()}: ${error.message}`),
      );
    }
  }

  override receiveEnd(): void {
    this.#ended = true;
    const plan = this.#plan;
    if (plan?.ending === "client-half-closes") this.produce(plan.down, () => this.closeConnectionAfterWriting());
    else this.closeConnection();
  }

  override unbind(reason: CloseReason): void {
    const { ledger } = this;
    ledger.reasons[reason.kind] = (ledger.reasons[reason.kind] ?? 0) + 1;
    const plan = this.#plan;
    // A client that aborts may take its head along.
    if (plan === undefined) return;
    const kind =
      this.#ended && reason.kind === "local-close" && plan.ending !== "client-half-closes"
        ? "peer-closed"
        : reason.kind;
    if (!EXPECTED[plan.ending].includes(kind)) ledger.wrong(`${this.describe()}: ended with ${reason.kind}`);
    if (isOrderly(plan.ending) && this.taken !== plan.up) ledger.wrong(`${this.describe()}: ${this.taken} bytes came`);
    if (reason.kind === "local-close" && reason.lingerExpired) ledger.wrong(`${this.describe()}: lingered in vain`);
  }

  describe(): string {
    return `server, ${JSON.stringify(this.#plan)}`;
  }
}
