/** The most violations of a round that are kept in words. */
const KEPT = 10;

/** What came of a round: what was done, by name, and which invariants did not hold. */
export class Report {
  readonly counts: Record<string, number> = {};
  readonly violations: string[] = [];
  violated = 0;

  count(name: string, by = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + by;
  }

  wrong(what: string): void {
    this.violated++;
    if (this.violations.length < KEPT) this.violations.push(what);
  }
}
