import type { CloseReason, TlsInfo } from "eventmachine";
import type { Random } from "../support/random.js";
import { expectedOfClient, type Terms } from "./expected.js";
import { count, type Ledger, SoakPeer } from "./peer.js";
import { type ClientPlan, encodePlan, isOrderly } from "./plan.js";

/** The connecting end: acts its part in a plan, and tells when it is over. */
export class SoakClient extends SoakPeer {
  readonly #plan: ClientPlan;
  readonly #over: () => void;
  #allSent = false;

  constructor(ledger: Ledger, random: Random, terms: Terms, plan: ClientPlan, over: () => void) {
    super(ledger, random, terms);
    this.#plan = plan;
    this.#over = over;
    ledger.connections++;
    count(ledger.endings, plan.ending);
  }

  override connectionCompleted(): void {
    if (!this.#plan.isSecure || this.#plan.isHasty) this.#begin();
  }

  override sslHandshakeCompleted(info: TlsInfo): void {
    super.sslHandshakeCompleted(info);
    if (!this.#plan.isHasty) this.#begin();
  }

  #begin(): void {
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
    const { ending, down } = this.#plan;
    this.ended(reason, expectedOfClient(ending, this.terms));
    if (isOrderly(ending) && this.taken !== down) this.ledger.wrong(`${this.describe()}: ${this.taken} bytes came`);
    this.#over();
  }

  describe(): string {
    return `client, ${JSON.stringify(this.#plan)}`;
  }
}
