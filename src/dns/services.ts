import type { SrvRecord } from "node:dns";

/** One server of a service: what `connect` takes. */
export interface ServiceTarget {
  /** A host's name. */
  readonly host: string;
  /** Its port. */
  readonly port: number;
}

/**
 * The order in which the servers of a service are tried, as RFC 2782 says: lower priority first; among equals by chance, in proportion to
 * their weights. A lone server without a name says that there is none.
 */
export function orderServices(records: readonly SrvRecord[], random: () => number): ServiceTarget[] {
  const offered = records.filter(({ name }) => name !== "" && name !== ".");
  const priorities = [...new Set(offered.map(({ priority }) => priority))].sort((a, b) => a - b);
  return priorities.flatMap((priority) => {
    // Those of weight 0 stand first, so that they are chosen now and then.
    const left = offered.filter((each) => each.priority === priority).sort((a, b) => a.weight - b.weight);
    const ordered: ServiceTarget[] = [];
    while (left.length > 0) {
      const total = left.reduce((sum, { weight }) => sum + weight, 0);
      let chosen = Math.floor(random() * (total + 1));
      const index = left.findIndex(({ weight }) => {
        chosen -= weight;
        return chosen <= 0;
      });
      const [{ name, port }] = left.splice(index, 1) as [SrvRecord];
      ordered.push({ host: name, port });
    }
    return ordered;
  });
}
