import type { CloseReason } from "eventmachine";
import { type Ledger, SoakPeer } from "./peer.js";
import { encodePlan, isOrderly, makePlan, type Plan } from "./plan.js";
import type { Random } from "./random.js";

/** What a client's connection may end with, by the plan's ending. */
const EXPECTED: Record<Plan["ending"], readonly CloseReason["kind"][]> = {
  "client-closes": ["local-close"],
  "server-finishes": ["peer-closed"],
  "client-finishes": ["local-close"],
  "client-half-closes": ["peer-closed"],
  "server-sends-file": ["peer-closed"],
  "client-aborts": ["local-abort"],
  "client-drops": ["local-close"],
  "server-aborts": ["peer-reset", "peer-closed"],
  "server-drops": ["peer-reset", "peer-closed"],
};

/** The connecting end: makes a plan, acts its part in it, and tells when it is over. */
export class SoakClient extends SoakPeer {
  readonly #plan: Plan;
  readonly #over: () => void;
  #allSent = false;

  constructor(ledger: Ledger, random: Random, over: () => void) {
    super(ledger, random);
    this.#plan = makePlan(random);
    this.#over = over;
    ledger.connections++;
    const { ending } = this.#plan;
    ledger.endings[ending] = (ledger.endings[ending] ?? 0) + 1;
  }

  override connectionCompleted(): void {
    const { ending, up } = this.#plan;
    this.sendData(encodePlan(this.#plan));
    this.produce(up, () => {
      this.#allSent = true;
      if (ending === "client-finishes") this.closeConnectionAfterWriting();
      else if (ending === "client-half-closes") this.halfClose();
      else this.#look();
    });
  }

  override receiveData(data: Buffer): void {
    this.take(data);
    this.#look();
  }

  #look(): void {
    if (this.state !== "open") return;
    const { ending, down, cutAt } = this.#plan;
    if (ending === "client-aborts" && this.taken >= cutAt) this.abort();
    else if (ending === "client-drops" && this.taken >= cutAt) this.closeConnection();
    // All that was sent must be out before a close that drops what is not.
    else if (ending === "client-closes" && this.#allSent && this.taken === down) this.closeConnectionAfterWriting();
  }

  override unbind(reason: CloseReason): void {
    const { ledger } = this;
    const { ending, down } = this.#plan;
    ledger.reasons[reason.kind] = (ledger.reasons[reason.kind] ?? 0) + 1;
    if (!EXPECTED[ending].includes(reason.kind)) ledger.wrong(`${this.describe()}: ended with ${reason.kind}`);
    if (isOrderly(ending) && this.taken !== down) ledger.wrong(`${this.describe()}: ${this.taken} bytes came`);
    if (reason.kind === "local-close" && reason.lingerExpired) ledger.wrong(`${this.describe()}: lingered in vain`);
    this.#over();
  }

  describe(): string {
    return `client, ${JSON.stringify(this.#plan)}`;
  }
}
